"""``dagbook backup``, ``snapshot``, ``restore`` and ``resume``: the way of a database to another place."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import click

from dagbook.api.schemas.maintenance import HeldDatabase, ResumedDatabase
from dagbook.auth.audit_context import local_actor
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import GlobalOptions, LocalOptions
from dagbook.cli.local import lock_database
from dagbook.cli.output import count_of, echo, format_bytes, print_json, report, show_progress, wants_json
from dagbook.cli.runs.why import describe_hold, describe_pause, read_pause
from dagbook.cli.settings import current_settings, json_option, with_settings
from dagbook.db.url import hide_password, sqlite_path
from dagbook.maintenance.backup import backup as backups
from dagbook.maintenance.backup import restore as restores
from dagbook.maintenance.backup import snapshot as snapshots
from dagbook.maintenance.backup.files import BackupError, check_source, check_target
from dagbook.maintenance.backup.sqlite_copy import read_size
from dagbook.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
_FILE = click.Path(dir_okay=True, path_type=Path)
_NOT_IN_IT = (
    "Not in it: the settings and base.yaml, the spool with the output of running steps that is not stored yet, "
    "checkouts of sources"
)


def _backup_errors(command: Callable[P, T]) -> Callable[P, T]:
    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except BackupError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.filename is not None:
                raise
            raise click.ClickException(f"the file could not be written: {error.strerror}") from error

    return wrapped


def _progress(total: int | None) -> Callable[[int], None]:
    """Return what shows the bytes written so far on a terminal."""

    def show(written: int) -> None:
        share = f" of about {format_bytes(total)}" if total else ""
        show_progress(f"{format_bytes(written)}{share} written")

    return show


@click.command(cls=LocalOptions, example="dagbook backup /srv/backups/dagbook-2030-01-31.sqlite3")
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--with-keys", is_flag=True, help="Write the key of stored secrets to FILE.keys, too.")
@json_option
@with_settings("database_url")
@_backup_errors
def backup(*, file: Path, force: bool, with_keys: bool) -> None:
    """Write the database to FILE while servers work; all that was answered before is in it.

    On SQLite FILE is one SQLite database, on PostgreSQL an archive of pg_dump. It has mode 0600, and is there only when
    it is whole. `dagbook restore` takes it to another place.
    """
    settings, target = current_settings(), file.absolute()
    if with_keys:
        check_target(backups.keys_of(target), replaces=force)  # before anything is read
    made = _make(backups.back_up, settings, target, force=force)
    keys = backups.write_keys(target, settings.secret_key, settings.home, replaces=force) if with_keys else None
    _report_file(made, settings, {"keys": str(keys) if keys else None})
    echo(_about_keys(keys, with_keys=with_keys), err=True)
    echo(f"{_NOT_IN_IT}.", err=True)


@click.command(cls=LocalOptions, example="dagbook snapshot incident.snapshot")
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
@with_settings("database_url")
@_backup_errors
def snapshot(*, file: Path, force: bool) -> None:
    """Write a copy of the database without accounts and secrets to FILE, for a post-mortem elsewhere.

    FILE is a SQLite database of mode 0600, whatever the database is. `dagbook serve --snapshot FILE` shows it in the
    web UI and the API, where nothing can be changed or started. Texts of definitions, params and logs are in it as
    everyone who may read them sees them.
    """
    settings = current_settings()
    made = _make(snapshots.make_snapshot, settings, file.absolute(), force=force)
    _report_file(made, settings, {})
    echo(f"Look at it with: dagbook serve --snapshot {made.file}", err=True)


class _MakeFile(Protocol):
    def __call__(
        self, url: str, schema: str, target: Path, *, replaces: bool, tick: Callable[[int], None]
    ) -> Coroutine[None, None, backups.Made]: ...


def _make(make: _MakeFile, settings: Settings, target: Path, *, force: bool) -> backups.Made:
    """Make a file of the database, with progress on a terminal; raises BackupError if there is no database."""
    check_target(target, replaces=force)
    path = sqlite_path(settings.database_url)
    if path is not None and not path.exists():
        raise BackupError(f"there is no database {path}; give its home with --home, or set database_url")
    if path is not None and target.exists() and target.samefile(path):
        raise BackupError(f"{target} is the database itself; give another name")
    tick = _progress(None if path is None else read_size(path))
    made = asyncio.run(make(settings.database_url, settings.database_schema, target, replaces=force, tick=tick))
    show_progress()
    return made


def _report_file(made: backups.Made, settings: Settings, more: dict[str, str | None]) -> None:
    size = f"{format_bytes(made.size)} in {made.seconds:.1f} s"
    facts = {"file": str(made.file), "bytes": made.size, "seconds": round(made.seconds, 3), "revision": made.revision}
    report(
        f"{made.file} has revision {made.revision} of {hide_password(settings.database_url)}: {size}", {**facts, **more}
    )


def _about_keys(keys: Path | None, *, with_keys: bool) -> str:
    if keys is not None:
        return f"The key of stored secrets is in {keys}: keep it apart from the backup."
    if with_keys:
        return "There is no key of stored secrets: no secret was stored yet."
    return "The key of stored secrets is not in it; keep secret.key apart, or give --with-keys."


@click.command(cls=LocalOptions, example="dagbook --home /srv/new restore dagbook-2026-03-01.sqlite3")
@click.argument("file", type=_FILE)
@json_option
@with_settings("database_url")
@_backup_errors
def restore(*, file: Path) -> None:
    """Restore the backup FILE where no database is yet; nothing starts there until `dagbook resume`.

    On SQLite the database file must not be there, on PostgreSQL the schema must be empty. FILE.keys, if it is there,
    becomes secret.key of the home.
    """
    settings, source = current_settings(), file.absolute()
    check_source(source)
    with lock_database(settings, "dagbook restore"):
        tick = _progress(source.stat().st_size)
        work = restores.restore(settings.database_url, settings.database_schema, source, local_actor(), tick)
        # First, so that no server makes another key for the database; taken back if there is none in the end.
        with restores.restored_keys(source, settings.secret_key, settings.home) as about_keys:
            done = asyncio.run(work)
    show_progress()
    report(
        f"{hide_password(settings.database_url)} was restored from {source} (revision {done.revision}) in "
        f"{done.seconds:.1f} s",
        {"file": str(source), "revision": done.revision, "seconds": round(done.seconds, 3), "held": True},
    )
    echo(f"Keys: {about_keys}.", err=True)
    echo(
        "The database is held: no run, queue or schedule starts here until `dagbook resume`. Start a server to look at "
        "it first.",
        err=True,
    )


@click.command(cls=GlobalOptions, example="dagbook resume --yes")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@with_api()
async def resume(api: Api, *, yes: bool) -> None:
    """End the hold of a restored database: queues and schedules start from now on.

    Runs that had not finished when the backup was taken fail, because what became of them is unknown here. Queued runs
    start: those that the original has started since the backup would run a second time, so clear its queues first if it
    still works. Messages of alerts that waited are dropped, because the original sends them, and events of triggers
    that waited in the backup are dead; those that were received since the restore start.
    """
    state = await api.get("/hold", HeldDatabase)
    if not state.held:
        pause = await read_pause(api)
        hint = "nothing has to be resumed" if pause is None else f"`dagbook unpause` ends that {describe_pause(pause)}"
        raise click.ClickException(f"this database is not held; {hint}")
    if not yes and sys.stdin.isatty():
        echo(describe_hold(state), err=True)
        click.confirm("Is the original stopped, and may everything start here?", abort=True, err=True)
    done = await api.post("/hold/resume", ResumedDatabase)
    if wants_json():
        print_json(done)
    else:
        starts = "starts from its queue" if done.queued_runs == 1 else "start from their queues"
        echo(f"resumed: {count_of(done.failed_runs, 'run')} failed, {done.queued_runs:,} {starts}")
        if done.dropped_deliveries or done.closed_alerts:
            dropped, closed = count_of(done.dropped_deliveries, "message"), count_of(done.closed_alerts, "alert")
            echo(f"alerts: {dropped} dropped (`dagbook alerts history --dropped`), {closed} closed")
        if done.dead_events:
            echo(f"triggers: {count_of(done.dead_events, 'event')} dead, which the original may have started")
