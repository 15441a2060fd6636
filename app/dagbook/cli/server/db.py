"""``dagbook db`` and ``dagbook doctor``: the schema upgraded and checked, and the rows, read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, timedelta

import click
import msgspec

from dagbook.api.presenters.doctor import doctor_report, upgrade_copies
from dagbook.cli.commands import LocalGroup, LocalOptions
from dagbook.cli.local import lock_database
from dagbook.cli.output import echo, format_bytes, print_table, report, wants_json
from dagbook.cli.settings import current_settings, json_option, with_settings
from dagbook.clock import now
from dagbook.db.database import Database
from dagbook.db.migrations.check import check as check_schema
from dagbook.db.migrations.upgrade import current as read_current
from dagbook.db.migrations.upgrade import head, require_head, require_known
from dagbook.db.migrations.upgrade import upgrade as upgrade_schema
from dagbook.db.postgres.roles import AUDIT_VIEW, READER, WORKER, Grants, RoleError, grant
from dagbook.db.repositories.invariants.findings import Finding
from dagbook.db.sqlite.upgrade_copies import find_copies
from dagbook.db.url import hide_password, sqlite_path
from dagbook.maintenance.doctor import Doctor, Examination, Report
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.settings import Settings
from dagbook.settings.open_files import find_open_files


@click.group(cls=LocalGroup, example="dagbook db current")
def db() -> None:
    """Upgrade or check the database schema."""


@db.command(example="dagbook db upgrade")
@json_option
@with_settings("database_url")
def upgrade() -> None:
    """Upgrade the database to the schema of this version; `serve` does this automatically."""
    settings = current_settings()
    with lock_database(settings, "dagbook db upgrade"):
        asyncio.run(upgrade_schema(settings.database_url, schema=settings.database_schema))
    report(f"{hide_password(settings.database_url)} is at revision {head()}", {"revision": head()})


@db.command("worker-role", example="dagbook db worker-role dagbook_worker")
@click.argument("role", metavar="ROLE")
@json_option
@with_settings("database_url")
def worker_role(*, role: str) -> None:
    """Let an existing PostgreSQL role execute runs as a worker, and nothing else.

    It gets no access to users, tokens and the audit. Run this as the owner of the tables, also after each upgrade;
    other rights that the role has in the schema are revoked.
    """
    database = _grant(role, WORKER, "workers and roles need a PostgreSQL database; set database_url")
    report(f"the role {role} may execute runs as a worker of {database}", {"workerRole": role})


@db.command("reader-role", example="dagbook db reader-role dagbook_reader")
@click.argument("role", metavar="ROLE")
@click.option("--no-audit", is_flag=True, help="Leave the audit log out, which has addresses of users.")
@json_option
@with_settings("database_url")
def reader_role(*, role: str, no_audit: bool) -> None:
    """Let an existing PostgreSQL role read the views for reports, and nothing else.

    The views show all DAGs, whatever rights users have on them. Run this as the owner of the tables; other rights that
    the role has in the schema are revoked. docs/reference/sql-views.md describes the views.
    """
    views = {view: privileges for view, privileges in READER.items() if not (no_audit and view == AUDIT_VIEW)}
    database = _grant(role, views, "roles need a PostgreSQL database; a SQLite file is opened with mode=ro")
    report(f"the role {role} may read {len(views)} views of {database}", {"readerRole": role, "views": list(views)})


def _grant(role: str, grants: Grants, refusal: str) -> str:
    """Give the role these privileges alone, and return the database as it is shown to users."""
    settings = current_settings()
    if sqlite_path(settings.database_url) is not None:
        raise click.ClickException(refusal)

    async def work() -> None:
        await require_head(settings.database_url, schema=settings.database_schema)
        await grant(settings.database_url, settings.database_schema, role, grants)

    try:
        asyncio.run(work())
    except RoleError as error:
        raise click.ClickException(str(error)) from error
    return hide_password(settings.database_url)


@db.command(example="dagbook db current")
@json_option
@with_settings("database_url")
def current() -> int:
    """Print the schema revision of the database; exit status 1 when it is not the newest."""
    settings = current_settings()
    revision = asyncio.run(read_current(settings.database_url, schema=settings.database_schema))
    if revision != head():
        require_known(settings.database_url, revision)
    text = revision if revision == head() else f"{revision or 'empty'} (newest is {head()})"
    report(text, {"revision": revision, "newest": head()})
    return 0 if revision == head() else 1


@db.command(example="dagbook db copies")
@json_option
@with_settings("database_url", "upgrade_copy_days")
def copies() -> None:
    """List the copies that upgrades have left beside the SQLite database, and when each is removed.

    A server removes those that are older than the setting upgrade_copy_days. `dagbook restore` takes one to another
    place.
    """
    settings = current_settings()
    path, days = sqlite_path(settings.database_url), settings.upgrade_copy_days
    found = [] if path is None else find_copies(path)
    rows = [
        (
            str(copy.file),
            copy.revision,
            f"{copy.made_at:%Y-%m-%d %H:%M}",
            format_bytes(copy.size),
            "never" if days < 0 else f"{copy.made_at + timedelta(days=days):%Y-%m-%d %H:%M}",
        )
        for copy in found
    ]
    if not rows and not wants_json():
        echo("there are no copies from before upgrades" if path is not None else "PostgreSQL: upgrades make no copies")
        return
    shown = {"copies": upgrade_copies(found, UTC)}
    print_table(("FILE", "REVISION", "MADE (UTC)", "SIZE", "REMOVED (UTC)"), rows, shown)


@db.command(example="dagbook db check")
@json_option
@with_settings("database_url")
def check() -> int:
    """Compare the schema, triggers included, with that of a new database; exit status 1 when it differs."""
    settings = current_settings()
    differences = asyncio.run(check_schema(settings.database_url, schema=settings.database_schema))
    word = "difference" if len(differences) == 1 else "differences"
    lines = [*differences, f"{len(differences)} {word}" if differences else "the schema is correct"]
    report("\n".join(lines), {"differences": [str(difference) for difference in differences]})
    return 1 if differences else 0


@click.command(cls=LocalOptions, example="dagbook doctor --quick")
@json_option
@click.option("--quick", is_flag=True, help="On SQLite, check the file without its indexes: quick_check.")
@with_settings("database_url", "orphan_grace_seconds")
def doctor(*, quick: bool) -> int:
    """Check the consistency of the rows and of the database itself; exit status 1 when a check fails.

    Nothing is changed, and servers may keep running. `dagbook db check` compares tables and triggers with those of
    this version.
    """
    settings = current_settings()
    for warning in find_open_files(settings):
        echo(f"Warning: {warning}", err=True)
    report = asyncio.run(_examine(settings, Examination(quick=quick)))
    for line in [msgspec.json.encode(doctor_report(report)).decode()] if wants_json() else _lines(report):
        echo(line)
    return 0 if report.is_healthy else 1


async def _examine(settings: Settings, examination: Examination) -> Report:
    await require_head(settings.database_url, schema=settings.database_schema)
    database = await Database.open(
        settings.database_url, schema=settings.database_schema, application="dagbook doctor", pool_size=1
    )
    try:
        keys = Encrypter(settings.secret_key, settings.home, settings.secret_keys_previous).find_names
        doctor = Doctor(database, settings.orphan_grace_seconds, now, settings.alert_keep_days, keys)
        return await doctor.examine(examination)
    finally:
        await database.close()


def _lines(report: Report) -> Iterator[str]:
    for finding in report.findings:
        yield from _of_finding(finding)
    yield ""
    storage = report.storage
    for use in storage.tables:
        yield f"{use.name:16} {use.rows:>12,} rows {format_bytes(use.size):>12}"
    free = "" if storage.free is None else f", of which {format_bytes(storage.free)} are free"
    yield f"{format_bytes(storage.size)} in all{free}"
    if storage.copies:
        size = format_bytes(sum(copy.size for copy in storage.copies))
        yield f"{len(storage.copies)} copies from before upgrades have {size}: see dagbook db copies"
    for key in report.keys:
        yield f"values encrypted with key {key.key}: {key.values}"
        if key.seals:
            yield f"seals of the audit signed with key {key.key}: {key.seals}"
    if report.keys:
        yield ""
    for complaint in report.damage or ():
        yield f"the database reports: {complaint}"
    if not report.damage:
        yield "the database reports no damage"
    broken = [finding for finding in report.findings if finding.count]
    yield f"{len(report.findings)} checks, {len(broken) or 'none'} of them broken"


def _of_finding(finding: Finding) -> Iterator[str]:
    if not finding.count:
        yield f"ok      {finding.name}: {finding.holds}"
        return
    yield f"BROKEN  {finding.name}: {finding.holds} Rows where it does not: {finding.count}"
    for row in finding.rows:
        yield "        " + " ".join(f"{name}={value}" for name, value in row.items())
