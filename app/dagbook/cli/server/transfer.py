"""``dagbook import`` and ``dagbook export``: the way in from Dagu 1.x, and the way back."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import click
import msgspec

from dagbook.cli.commands import LocalOptions
from dagbook.cli.local import lock_database
from dagbook.cli.output import count_of, echo, format_bytes, print_json, show_progress, wants_json
from dagbook.cli.settings import current_settings, json_option, with_settings
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.migrations.upgrade import current, require_head, upgrade
from dagbook.db.url import hide_password
from dagbook.json_values import Json
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure
from dagbook.transfer.exporting import ExportOptions, HomeExport
from dagbook.transfer.home import Folders, HomeSource
from dagbook.transfer.importing import ImportOptions, TransferError, import_from
from dagbook.transfer.remote import RemoteSource
from dagbook.transfer.report import Counts, ExportReport, Report, TransferReport
from dagbook.transfer.source import Source
from dagbook.transfer.target import HomeTarget, write_file

_FOLDER = click.Path(path_type=Path)
_MOST_LINES = 40
_OUTCOMES = {"left_out": "left out", "differing": "differs", "changed": "changed", "imported": "imported"}
_KINDS = {"base": "base configuration"}  # there is one, so its name says nothing
_TABLE = (
    ("definitions", "definitions"),
    ("suspended", "suspended DAGs"),
    ("base", "base configuration"),
    ("users", "users"),
    ("webhooks", "webhooks"),
    ("runs", "runs"),
)


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """What an import is given, without the home."""

    url: str | None
    token_file: Path | None
    dags_dir: Path | None
    data_dir: Path | None
    log_dir: Path | None
    suspend_dir: Path | None
    suspend_all: bool
    with_admins: bool
    no_runs: bool
    settings_file: Path | None
    dry_run: bool
    yes: bool


@click.command("import", cls=LocalOptions, example="dagbook import ~/.config/dagu --dry-run")
@click.argument("source", type=_FOLDER, metavar="[SOURCE]", required=False)
@click.option("--crontab", type=_FOLDER, metavar="FILE|-", help="Translate a crontab into DAGs, and store nothing.")
@click.option("--system", is_flag=True, help="The lines of the crontab have an account, as in /etc/crontab.")
@click.option("-o", "--output", type=_FOLDER, metavar="DIR", help="Write a file for each DAG of the crontab to DIR.")
@click.option("--url", metavar="URL", help="Import from a running server of API v2 instead of a home.")
@click.option("--token-file", type=_FOLDER, metavar="FILE", help="File with the token for that server.")
@click.option("--dags-dir", type=_FOLDER, metavar="DIR", help="Folder of definitions, if it is not SOURCE/dags.")
@click.option("--data-dir", type=_FOLDER, metavar="DIR", help="Folder of runs and users, if it is not SOURCE/data.")
@click.option("--log-dir", type=_FOLDER, metavar="DIR", help="Folder of output, if it is not SOURCE/logs.")
@click.option("--suspend-dir", type=_FOLDER, metavar="DIR", help="Folder of suspensions, if it is not SOURCE/suspend.")
@click.option("--suspend", "suspend_all", is_flag=True, help="Suspend each new DAG, so that no schedule starts it.")
@click.option("--with-admins", is_flag=True, help="Import users who are admins, too; the report names all users.")
@click.option("--no-runs", is_flag=True, help="Leave the runs out.")
@click.option("--settings-file", type=_FOLDER, metavar="FILE", help="Write the settings there, secrets included.")
@click.option("--dry-run", is_flag=True, help="Only report what would be imported.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before writing.")
@json_option
@with_settings("database_url", "base_config", "log_limit_bytes", "log_encoding", "retention_days")
def import_home(*, source: Path | None, crontab: Path | None, system: bool, output: Path | None, **options: Any) -> int:
    """Import a home of Dagu 1.x: definitions, suspensions, webhooks, base configuration, users, settings and runs.

    With --url definitions and runs come from a running server, which tells nothing else, also no users.
    With --crontab a definition for each line of a crontab is printed, and lines without a counterpart are listed on
    stderr, with the reason; `dagbook dag save` stores definitions.
    What is there already stays as it is, so an import can be repeated, and continued after an interruption. A server
    that uses a SQLite file has to be stopped first. Exit status 1 when something was left out or differs.
    """
    if crontab is not None:
        if source is not None or options["url"] is not None:
            raise click.UsageError("name either a home, a server or a crontab")
        from dagbook.cli.dags.crontab import import_crontab  # noqa: PLC0415 - other imports do not need it

        return import_crontab(crontab, is_system=system, output=output)
    if system or output is not None:
        raise click.UsageError("--system and --output are for a crontab; add --crontab FILE")
    settings, arguments = current_settings(), Arguments(**options)
    configure(settings.log_format, "warning")
    try:
        with closing(_source(settings, source, arguments)) as opened:
            return _import(settings, opened, arguments)
    except TransferError as error:
        raise click.ClickException(str(error)) from error
    except DatabaseUnavailable as error:
        message = f"the database is unavailable: {error}; repeat the import then, which stores what is missing"
        raise click.ClickException(message) from error


def _source(settings: Settings, home: Path | None, given: Arguments) -> Source:
    """Return the home or the server to import from; raises TransferError."""
    if home is not None and given.url is None:
        folders = {"dags": given.dags_dir, "data": given.data_dir, "suspend": given.suspend_dir}
        return HomeSource(Folders.of(home, logs=given.log_dir, **folders))
    if home is not None or given.url is None:
        raise click.UsageError("name either a home or a server, with --url; or a crontab, with --crontab")
    if given.with_admins:
        raise click.UsageError("--with-admins: a server tells no users; import its home for them")
    token = given.token_file.read_text("utf-8", "replace").strip() if given.token_file is not None else ""
    return RemoteSource(given.url, token, settings.log_limit_bytes)


def _import(settings: Settings, source: Source, given: Arguments) -> int:
    """Ask, import and report; returns the exit status."""
    settings_file = given.settings_file
    report = Report(source=source.name, database=hide_password(settings.database_url), dry_run=given.dry_run)
    if settings_file is not None and settings_file.exists():
        raise click.ClickException(f"{settings_file} exists already; name another file, or move it away")
    if not given.dry_run:
        _confirm(source, report.database, is_sure=given.yes)
    chosen = ImportOptions(
        base_config=settings.base_config,
        encrypter=Encrypter(settings.secret_key, settings.home, settings.secret_keys_previous),
        max_body_bytes=settings.max_body_bytes,
        log_limit_bytes=settings.log_limit_bytes,
        log_encoding=settings.log_encoding,
        retention_days=settings.retention_days,
        dry_run=given.dry_run,
        suspend_all=given.suspend_all,
        with_admins=given.with_admins,
        with_runs=not given.no_runs,
        secrets=settings_file is not None,
    )

    async def work() -> None:
        async with _open(settings, is_dry=chosen.dry_run) as database:
            await import_from(source, database, chosen, report, _Progress("runs"))

    asyncio.run(work())
    if settings_file is not None and report.settings.text and not report.dry_run:
        write_file(settings_file, [report.settings.text.encode()], "xb")
        report.settings = msgspec.structs.replace(report.settings, text="")
    if wants_json():
        print_json(msgspec.to_builtins(report) | {"complete": report.is_complete})
    else:
        _print(report, settings, settings_file)
    return 0 if report.is_complete else 1


def _confirm(source: Source, database: str, *, is_sure: bool) -> None:
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise click.ClickException("no terminal to ask for confirmation; add --yes to import, or --dry-run to look")
    definitions, _ = source.read_definitions()
    counts = f"{count_of(len(definitions), 'definition')} and {count_of(source.count_runs(), 'run')}"
    echo(f"{source.name} has {counts}.", err=True)
    if not click.confirm(f"Import them into {database}?", err=True):
        raise click.ClickException("nothing was imported")


@asynccontextmanager
async def _open(settings: Settings, *, is_dry: bool) -> AsyncIterator[Database | None]:
    """Open the database, upgraded first, as `serve` does; for a dry run only if it is there."""
    if is_dry:
        if await current(settings.database_url, schema=settings.database_schema) is None:
            yield None
            return
        await require_head(settings.database_url, schema=settings.database_schema)
        async with _opened(settings, "dagbook import") as database:
            yield database
        return
    with lock_database(settings, "dagbook import"):
        await upgrade(settings.database_url, schema=settings.database_schema)
        async with _opened(settings, "dagbook import") as database, database.try_lock("dagbook import") as is_alone:
            if not is_alone:
                raise click.ClickException("another import into this database is running; repeat this one after it")
            yield database


@asynccontextmanager
async def _opened(settings: Settings, application: str) -> AsyncIterator[Database]:
    database = await Database.open(
        settings.database_url, schema=settings.database_schema, application=application, pool_size=2
    )
    try:
        yield database
    finally:
        await database.close()


class _Progress:
    """Prints how far it is on a terminal, with the time that is left."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if wants_json() or not total:
            return
        passed = time.monotonic() - self._began
        left = passed / max(done, 1) * (total - done)
        line = f"{done:,} of {total:,} {self._what}" + (f", about {left:.0f} s left" if done < total else "")
        show_progress(line, is_last=done >= total)


def _print(report: Report, settings: Settings, settings_file: Path | None) -> None:
    _print_counts(report, "would be imported" if report.dry_run else "imported")
    if report.expired_runs:
        days = settings.retention_days
        echo(
            f"Warning: {report.expired_runs:,} of these runs are older than retention_days ({days}), and a server "
            "deletes them within an hour; set it to -1 first to keep them",
            err=True,
        )
    _print_settings(report, settings_file)


def _print_counts(report: TransferReport, done: str) -> None:
    for name, label in _TABLE:
        counts: Counts = getattr(report, name, Counts())
        if counts.found:
            parts = {done: counts.imported, "there already": counts.present, "different": counts.differing}
            parts["left out"] = counts.left_out
            counted = ", ".join(f"{number:,} {what}" for what, number in parts.items() if number)
            echo(f"{label}: {counts.found:,} found; {counted}")
    stored = report.stored
    if report.runs.imported:
        logs = "" if report.dry_run else f", {format_bytes(stored.log_bytes)} of output"
        below = {"sub-run": stored.sub_runs, "attempt": stored.attempts, "step": stored.steps}
        echo(f"in them: {', '.join(count_of(number, noun) for noun, number in below.items())}{logs}")
    for finding in report.findings[:_MOST_LINES]:
        where = f" ({finding.file})" if finding.file not in ("", finding.name) else ""
        what = _KINDS.get(finding.kind, f"{finding.kind} {finding.name}{where}")
        echo(f"{_OUTCOMES[finding.outcome]}: {what}: {finding.reason}")
    more = max(len(report.findings) - _MOST_LINES, 0) + report.more_findings
    if more:
        echo(f"and {more:,} more; --json lists them")


def _print_settings(report: Report, settings_file: Path | None) -> None:
    for key in report.settings.keys:
        echo(f"setting {key.key}: {f'becomes {key.setting}' if key.setting else key.reason}")
    if settings_file is not None and report.settings.keys and not report.dry_run:
        echo(f"the settings are in {settings_file}")
    elif report.settings.text:
        echo(f"\nSave this as dagbook.yaml in Dagbook's home:\n\n{report.settings.text}", nl=False)


@click.command("export", cls=LocalOptions, example="dagbook export ./dagu-home")
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--place", metavar="PATH", help="Where the home will be used, if DIR is moved there.  [default: DIR]")
@click.option("--no-runs", is_flag=True, help="Leave the runs out.")
@click.option("--replace", is_flag=True, help="Replace what is there and differs.")
@json_option
@with_settings("database_url", "base_config")
def export_home(*, folder: Path, place: str | None, no_runs: bool, replace: bool) -> int:
    """Export to a home of Dagu 1.x: definitions, suspensions, base configuration and finished runs with their output.

    Servers may keep running. What is in DIR already stays as it is, so an export can be repeated, and continued after
    an interruption. Exit status 1 when something was left out or differs.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    if folder.exists() and not folder.is_dir():
        raise click.ClickException(f"{folder} is not a directory")
    if place is not None and not Path(place).is_absolute():
        raise click.ClickException(f"--place: {place} is not an absolute path")
    report = ExportReport(target=str(folder), database=hide_password(settings.database_url))
    chosen = ExportOptions(base_config=settings.base_config, with_runs=not no_runs, replace=replace)
    target = HomeTarget(folder, place or str(folder.resolve()))

    async def work() -> None:
        await require_head(settings.database_url, schema=settings.database_schema)
        async with _opened(settings, "dagbook export") as database:
            await HomeExport(database, target, chosen, report).run(_Progress("runs"))

    try:
        asyncio.run(work())
    except TransferError as error:
        raise click.ClickException(f"{error}; repeat the export then, which goes on where it ended") from error
    if wants_json():
        print_json(_exported(msgspec.to_builtins(report)) | {"complete": report.is_complete})
    else:
        _print_counts(report, "exported")
    return 0 if report.is_complete else 1


def _exported(report: dict[str, Json]) -> dict[str, Json]:
    """Return a report as JSON whose counts say what was exported."""
    counted = {name: part for name, part in report.items() if isinstance(part, dict) and "imported" in part}
    renamed = {
        name: {"exported" if field == "imported" else field: number for field, number in part.items()}
        for name, part in counted.items()
    }
    return {name: part for name, part in report.items() if name != "dryRun"} | renamed
