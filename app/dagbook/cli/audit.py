"""``dagbook audit``: the audit log listed, verified and pruned."""

from __future__ import annotations

import asyncio
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import click
import msgspec

from dagbook.cli.client import Api, body_of, use_api
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, LocalOptions, current_settings, json_option, settings_options, wants_json
from dagbook.cli.output import print_json, print_table
from dagbook.cli.terminal import echo
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


@audit.command("list", cls=GlobalOptions, example="dagbook audit list --actor ann --action dag. --from 2030-01-31")
@click.option("--actor", metavar="NAME", help="Only entries of this actor.")
@click.option("--action", metavar="ACTION", help="Only this action, such as dag.update, or a prefix, such as 'dag.'.")
@click.option("--object", "name", metavar="NAME", help="Only this object: a DAG's file name, NAME/RUN_ID or a user.")
@click.option("--from", "since", type=_Time(), help="Only entries from this time on.")
@click.option("--to", "until", type=_Time(), help="Only entries up to this time.")
@click.option("--request-id", metavar="ID", help="Only entries of this request.")
@click.option("--before", type=click.IntRange(min=1), metavar="ENTRY", help="Only entries before this one.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Number of entries at most.")
@settings_options("database_url")
@friendly_errors
def list_entries(*, name: str | None, request_id: str | None, **given: Any) -> None:
    """Print the actions of users, refused ones too, newest first."""
    settings = current_settings()
    times = {"from": _text(given.pop("since"), settings.tz), "to": _text(given.pop("until"), settings.tz)}
    filters = {**given, **times, "object": name, "requestId": request_id}
    query = {key: value for key, value in filters.items() if value is not None}

    async def work(api: Api) -> None:
        entries = body_of(await api.client.get("/audit", params=query))["entries"]
        if not wants_json():
            print_table(_HEAD, [_row(entry) for entry in entries])
            return
        for entry in entries:
            print_json(entry)

    use_api("audit", work)


@audit.command("verify", cls=LocalOptions, example="dagbook audit verify --copy /backup/audit.jsonl")
@json_option
@click.option("--seal", type=_Seal(), metavar="NUMBER:HASH", help="A seal printed earlier that must still exist.")
@click.option("--copy", type=click.Path(path_type=Path), metavar="FILE", help="A copy of the audit to compare with.")
@settings_options("database_url")
@friendly_errors
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
        print_json(msgspec.to_builtins({"verified": found, "copy": compared}))
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
    signer = Encrypter(settings.secret_key, settings.home)
    database = await Database.open(settings.database_url, schema=settings.database_schema)
    try:

        def work(connection: ReadConnection) -> tuple[Verified, Compared | None]:
            begin_repeatable_read(connection)
            found = verify(connection, signer, seal)
            return found, compare(connection, path, size, found.covered_up_to) if path else None

        return await database.read(work)
    finally:
        await database.close()


@audit.command(cls=GlobalOptions, example="dagbook audit prune --before 2030-01-31 --yes")
@click.option("--before", type=_Time(), required=True, help="Delete entries that were sealed before this.")
@click.option("--yes", is_flag=True, help="Delete the entries; without this they are only counted.")
@settings_options("database_url")
@friendly_errors
def prune(*, before: datetime, yes: bool) -> None:
    """Delete old entries permanently, or count them first. Their seals stay, so the rest can still be verified."""
    settings = current_settings()
    body = {"before": _text(before, settings.tz), "dryRun": not yes}

    async def work(api: Api) -> None:
        answer = body_of(await api.client.post("/audit/prune", json=body))
        count, last = answer["entries"], answer["upTo"]
        if wants_json():
            print_json(answer | {"dryRun": not yes})
            return
        if not count:
            echo("no entries are that old")
        elif yes:
            echo(f"{count} entries are deleted, up to entry {last}")
        else:
            echo(f"{count} entries would be deleted, up to entry {last}; --yes deletes them permanently")

    use_api("audit", work)


def _text(instant: datetime | None, zone: tzinfo) -> str | None:
    if instant is None:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).isoformat()


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    actor = entry.get("actor", "")
    if "tokenName" in entry:
        actor = f"{actor} (token {entry['tokenName']})"
    return (
        str(entry["id"]),
        entry["at"],
        actor,
        entry["via"],
        entry["action"],
        f"{entry['kind']} {entry['object']}",
        entry["outcome"],
    )
