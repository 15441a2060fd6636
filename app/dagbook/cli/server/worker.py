"""``dagbook worker``: a worker that executes queued runs whose selector its labels match."""

from __future__ import annotations

import asyncio
import os
import socket

import click
import uvloop

from dagbook.cli.commands import PEER, LocalOptions
from dagbook.cli.output import echo
from dagbook.cli.server.shutdown import StopSignals
from dagbook.cli.settings import current_settings, warn_about_unused, warn_of_evaluation, with_settings
from dagbook.db.database import Database
from dagbook.db.postgres.roles import WORKER, find_lacking
from dagbook.db.repositories import services
from dagbook.db.url import hide_password, sqlite_path
from dagbook.queues.worker.transport import is_installed
from dagbook.settings import Settings
from dagbook.settings.open_files import find_open_files
from dagbook.telemetry.logging import configure
from dagbook.unix import proc
from dagbook.unix.descriptors import raise_limit

_MAX_RUNS = 100  # runtime 25.3
_MAX_NAME = 100


@click.command(cls=LocalOptions, example="dagbook worker --label gpu=true")
@click.option(
    "-l",
    "--label",
    "--worker.labels",
    "labels",
    metavar="NAME=VALUE",
    multiple=True,
    help="A label, or several separated by commas; may be repeated.",
)
@click.option(
    "-m",
    "--max-active-runs",
    "--worker.max-active-runs",
    "capacity",
    type=click.IntRange(1, 10_000),
    default=_MAX_RUNS,
    show_default=True,
    help="Number of runs at a time.",
)
@click.option(
    "-w",
    "--id",
    "--worker.id",
    "name",
    default="",
    help="Name of the worker; by default this machine's name and the process id.",
)
@click.option(
    "--health",
    "asks_health",
    is_flag=True,
    help="Start no worker: exit with 0 if the workers of this machine (with --id: that one) are healthy, else 1.",
)
@with_settings("database_url", "work_dir", "spool_dir", "log_format", "log_level", ignored=PEER)
def worker(*, labels: tuple[str, ...], capacity: int, name: str, asks_health: bool) -> None:
    """Execute queued runs that require this machine's labels, until SIGINT or SIGTERM; running steps then continue.

    A worker serves no HTTP and has no scheduler: servers on the same PostgreSQL database hand out queued runs.
    """
    settings = current_settings()
    own_name = name.strip() or f"{socket.gethostname()}@{os.getpid()}"
    if len(own_name) > _MAX_NAME or not own_name.isprintable():
        raise click.ClickException(f"--id: give at most {_MAX_NAME} printable characters")
    read = _read_labels(labels)
    if not asks_health:
        warn_about_unused(settings)
    _check_database(settings)
    if asks_health:
        uvloop.run(_check_health(settings, name.strip()))
    else:
        uvloop.run(_work(settings, own_name, read, capacity))


def _read_labels(labels: tuple[str, ...]) -> dict[str, str]:
    """Parse labels; several may be in one word, separated by commas."""
    read: dict[str, str] = {}
    for text in (part for label in labels for part in label.split(",")):
        name, sign, value = (part.strip() for part in text.partition("="))
        if not (name and sign and value):
            raise click.ClickException(
                f"--label: {text!r} is not a label; write it as NAME=VALUE, for example gpu=true"
            )
        if read.setdefault(name, value) != value:
            raise click.ClickException(f"--label: {name} is given as {read[name]!r} and as {value!r}; choose one")
    return read


def _check_database(settings: Settings) -> None:
    if sqlite_path(settings.database_url) is not None:
        raise click.ClickException(
            "a worker shares a PostgreSQL database with servers, and only one process can use a SQLite file; "
            "set database_url to the database of the servers"
        )
    if not is_installed():
        raise click.ClickException("a worker needs PgQueuer; pip install 'dagbook[distributed]'")


async def _check_health(settings: Settings, name: str) -> None:
    """Raise ClickException unless a worker is alive here and each one renews its lease."""
    database = await Database.open(
        settings.database_url, schema=settings.database_schema, application="dagbook worker --health", pool_size=1
    )
    try:
        rows = await database.read_inline(
            lambda connection: services.find_local_workers(
                connection, socket.gethostname(), proc.boot_id(), proc.pid_namespace()
            )
        )
    finally:
        await database.close()
    wanted = [row for row in rows if name in ("", row.name)]
    found = [row for row in wanted if proc.is_alive(proc.ProcessId(row.pid, row.pid_started))]
    if not found:
        raise click.ClickException(f"no worker {name}".rstrip() + " runs on this machine, or it was started just now")
    for row in found:
        if not row.is_leased:
            last = f"{row.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC"
            raise click.ClickException(f"worker {row.name} has not renewed its lease since {last}")
        echo(f"worker {row.name} is healthy")


async def _check_role(settings: Settings) -> None:
    """Raise ClickException if the role lacks a right that a worker of this version needs."""
    database = await Database.open(settings.database_url, schema=settings.database_schema, pool_size=1)
    try:
        lacking = await database.read(find_lacking, WORKER)
    finally:
        await database.close()
    if lacking.tables:
        raise click.ClickException(
            f"the role {lacking.role} lacks rights on {', '.join(lacking.tables)}; give it those of this version with "
            f"the role that owns the tables: dagbook db worker-role {lacking.role}"
        )


async def _work(settings: Settings, name: str, labels: dict[str, str], capacity: int) -> None:
    # These import the whole server, a second of CPU that a health check every few seconds must not cost.
    from dagbook.db.migrations.upgrade import require_head  # noqa: PLC0415
    from dagbook.main import WorkerOptions, open_worker, wait_for_resume  # noqa: PLC0415

    configure(settings.log_format, settings.log_level)
    warn_of_evaluation(settings)
    raise_limit()
    for warning in find_open_files(settings):
        echo(f"Warning: {warning}", err=True)
    await require_head(settings.database_url, schema=settings.database_schema)
    await _check_role(settings)
    await wait_for_resume(settings)  # before the handlers of signals: SIGTERM ends the wait
    stop = asyncio.Event()
    signals = StopSignals(stop.set)
    signals.install()
    worker = WorkerOptions(name=name, labels=labels, capacity=capacity)
    async with open_worker(settings, worker) as supervisor:
        signals.is_patient = lambda: supervisor.is_patient
        text = ", ".join(f"{name}={value}" for name, value in sorted(worker.labels.items())) or "no labels"
        echo(f"Worker {worker.name} ({text}) works on {hide_password(settings.database_url)}", err=True)
        await stop.wait()
