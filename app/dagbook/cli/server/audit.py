"""``dagbook audit``: the audit log listed, verified and pruned."""

from __future__ import annotations

import asyncio
from datetime import datetime, tzinfo
from pathlib import Path

import click

from dagbook.api.schemas.maintenance import AuditEntries, AuditEntry, PrunedAudit
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import CommandGroup, LocalOptions
from dagbook.cli.output import echo, print_json, print_table, wants_json
from dagbook.cli.settings import current_settings, json_option, with_settings
from dagbook.db.database import Database, ReadConnection
from dagbook.db.migrations.upgrade import require_head
from dagbook.db.repositories.audit import begin_repeatable_read
from dagbook.maintenance.audit.audit_copy import Compared, compare
from dagbook.maintenance.audit.audit_verification import KnownSeal, Verified, verify
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.settings import Settings

_HASH_DIGITS = 64
_HEAD = ("ENTRY", "TIME", "ACTOR", "VIA", "ACTION", "OBJECT", "OUTCOME")


class _Time(click.ParamType[datetime]):
    """A date or a time; without a time zone it is in the server's."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write one such as 2030-01-31 or 2030-01-31T12:00:00Z", param, ctx)


class _Seal(click.ParamType[KnownSeal]):
    """A seal as ``verify`` prints it."""

    name = "seal"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> KnownSeal:
        number, _, hashed = value.partition(":")
        if not (number.isascii() and number.isdigit() and int(number) and len(hashed) == _HASH_DIGITS):
            self.fail(f"{value!r} is not a seal; write number and hash as verify prints them: 12:5f3a…", param, ctx)
        return KnownSeal(int(number), hashed.lower())


@click.group(cls=CommandGroup, example="dagbook audit list --limit 10")
def audit() -> None:
    """List, verify or prune the audit log."""


@audit.command("list", example="dagbook audit list --actor ann --action dag. --from 2030-01-31")
@click.option("--actor", metavar="NAME", help="Only entries of this actor.")
@click.option("--action", metavar="ACTION", help="Only this action, such as dag.update, or a prefix, such as 'dag.'.")
@click.option("--object", "name", metavar="NAME", help="Only this object: a DAG's file name, NAME/RUN_ID or a user.")
@click.option("--from", "since", type=_Time(), help="Only entries from this time on.")
@click.option("--to", "until", type=_Time(), help="Only entries up to this time.")
@click.option("--request-id", metavar="ID", help="Only entries of this request.")
@click.option("--before", type=click.IntRange(min=1), metavar="ENTRY", help="Only entries before this one.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Number of entries at most.")
@with_api()
async def list_entries(
    api: Api,
    /,
    *,
    name: str | None,
    request_id: str | None,
    since: datetime | None,
    until: datetime | None,
    **given: str | int | None,
) -> None:
    """Print the actions of users, refused ones too, newest first."""
    zone = current_settings().tz
    times = {"from": _text(since, zone) if since else None, "to": _text(until, zone) if until else None}
    filters = {**given, **times, "object": name, "requestId": request_id}
    query = {key: value for key, value in filters.items() if value is not None}
    entries = (await api.get("/audit", AuditEntries, query)).entries
    if not wants_json():
        print_table(_HEAD, [_row(entry) for entry in entries])
        return
    for entry in entries:
        print_json(entry)


@audit.command("verify", cls=LocalOptions, example="dagbook audit verify --copy /backup/audit.jsonl")
@json_option
@click.option("--seal", type=_Seal(), metavar="NUMBER:HASH", help="A seal printed earlier that must still exist.")
@click.option("--copy", type=click.Path(path_type=Path), metavar="FILE", help="A copy of the audit to compare with.")
@with_settings("database_url")
def verify_entries(*, seal: KnownSeal | None, copy: Path | None) -> int:
    """Verify that no entry was changed; otherwise print the first changed one and exit with status 1.

    Reads the database directly, with the key of the servers: DAGBOOK_SECRET_KEY, or the key file in the home. With a
    copy (audit_copy) it prints every difference.
    """
    settings = current_settings()
    try:
        size = copy.stat().st_size if copy else 0  # before the rows are read: a server goes on copying
        found, compared = asyncio.run(_verify(settings, seal, copy, size))
    except OSError as error:
        raise click.ClickException(f"the copy {copy} cannot be read: {error.strerror or error}") from error
    if wants_json():
        print_json({"verified": found, "copy": compared})
        return 1 if found.broken or (compared and compared.differences) else 0
    if found.broken:
        echo(found.broken)
    for difference in compared.differences if compared else ():
        echo(difference)
    if found.broken or (compared and compared.differences):
        return 1
    _print_verified(found, compared)
    return 0


def _print_verified(found: Verified, compared: Compared | None) -> None:
    echo(f"{found.entries} entries, sealed up to {found.sealed_up_to}, {found.unsealed} not yet sealed")
    if found.pruned_up_to:
        echo(f"from entry {found.pruned_up_to + 1} on; earlier entries are pruned")
    if found.seal:
        echo(f"last seal {found.seal.number}:{found.seal.hash}")
    if found.other_key_up_to:
        echo(f"the seals 1 to {found.other_key_up_to} were signed with another key")
    if compared:
        echo(f"the copy has the same up to entry {compared.last_entry} and seal {compared.last_seal}")
        echo(f"{compared.pruned} of its entries are pruned, {compared.later_entries} newer ones are not in it")
    echo("this does not show:")
    for limit in compared.limits if compared else found.limits:
        echo(f"- {limit}")


async def _verify(
    settings: Settings, seal: KnownSeal | None, path: Path | None, size: int
) -> tuple[Verified, Compared | None]:
    await require_head(settings.database_url, schema=settings.database_schema)
    signer = Encrypter(settings.secret_key, settings.home, settings.secret_keys_previous)
    database = await Database.open(settings.database_url, schema=settings.database_schema)
    try:

        def work(connection: ReadConnection) -> tuple[Verified, Compared | None]:
            begin_repeatable_read(connection)
            found = verify(connection, signer, seal)
            return found, compare(connection, path, size, found.covered_up_to) if path else None

        return await database.read(work)
    finally:
        await database.close()


@audit.command(example="dagbook audit prune --before 2030-01-31 --yes")
@click.option("--before", type=_Time(), required=True, help="Delete entries that were sealed before this.")
@click.option("--yes", is_flag=True, help="Delete the entries; without this they are only counted.")
@with_api()
async def prune(api: Api, *, before: datetime, yes: bool) -> None:
    """Delete old entries permanently, or count them first. Their seals stay, so the rest can still be verified."""
    body = {"before": _text(before, current_settings().tz), "dryRun": not yes}
    pruned = await api.post("/audit/prune", PrunedAudit, body)
    if wants_json():
        print_json(pruned)
    elif not pruned.entries:
        echo("no entries are that old")
    elif yes:
        echo(f"{pruned.entries} entries are deleted, up to entry {pruned.up_to}")
    else:
        echo(f"{pruned.entries} entries would be deleted, up to entry {pruned.up_to}; --yes deletes them permanently")


def _text(instant: datetime, zone: tzinfo) -> str:
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).isoformat()


def _row(entry: AuditEntry) -> tuple[str, ...]:
    actor = entry.actor or ""
    if entry.token_name:
        actor = f"{actor} (token {entry.token_name})"
    subject = f"{entry.kind} {entry.object}"
    return str(entry.id), entry.at, actor, entry.via, entry.action, subject, entry.outcome
