"""``dagbook torture``: the crash tests, on this machine and this machine's database, with nobody's data."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import click

from app import __version__
from app.cli.failures import said_plainly
from app.cli.options import GlobalOptions
from app.db.url import hide_password, sqlite_path
from app.queue.remote import is_installed
from app.torture.changes import Changes
from app.torture.crowd import Crowd, CrowdKilling
from app.torture.detection import Detection
from app.torture.failover import Failover, Plan
from app.torture.killing import Killing, Size
from app.torture.place import own_ground
from app.torture.schedules import Schedules
from app.torture.sleeping import Sleeping
from app.torture.trial import Ground, TortureError, Trial

_MOST_SENTENCES = 100
_NO_SERVER = (
    "needs --database-url postgresql://USER:PASSWORD@HOST/DATABASE of a PostgreSQL server whose user may create "
    "databases: the torture makes one of its own there and removes it again. In a checkout `scripts/postgres start "
    "DIR` starts a server for such things and prints its address"
)


class Options(NamedTuple):
    """What the command line says."""

    database: str | None
    database_url: str
    servers: int
    workers: int
    kills: int
    runs: int
    seed: int
    schedules: int | None
    failovers: int | None
    dags: int
    detections: int | None
    sleeps: int | None
    sleep_seconds: float
    changes: int | None
    keep: bool


_COUNT = click.IntRange(1)


@click.command(cls=GlobalOptions)
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), help="sqlite without a --database-url.")
@click.option("--database-url", default="", metavar="URL", help="A PostgreSQL server; a database is made there.")
@click.option("--servers", type=_COUNT, default=1, show_default=True, help="Several need PostgreSQL.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Any need PostgreSQL.")
@click.option("--kills", type=_COUNT, default=30, show_default=True, help="How often one is killed.")
@click.option("--runs", type=_COUNT, default=100, show_default=True, help="How many runs are started meanwhile.")
@click.option("--seed", type=int, metavar="N", help="The luck of an earlier torture.")
@click.option("--schedules", type=_COUNT, metavar="CASES", help="Instead: schedules around changes of clocks.")
@click.option("--failovers", type=_COUNT, metavar="ROUNDS", help="Instead: kill one of two schedulers each minute.")
@click.option("--dags", type=_COUNT, default=20, show_default=True, help="With --failovers: due every minute.")
@click.option("--detections", type=_COUNT, metavar="ROUNDS", help="Instead: how soon a server is known to be dead.")
@click.option("--sleeps", type=_COUNT, metavar="ROUNDS", help="Instead: one of two servers sleeps and comes back.")
@click.option("--sleep-seconds", type=click.FloatRange(2), default=120, show_default=True, help="With --sleeps.")
@click.option("--changes", type=_COUNT, metavar="ROUNDS", help="Instead: spools are lost, containers replaced. (root)")
@click.option("--keep", is_flag=True, help="Leave folder and database there.")
@said_plainly
def torture(*, seed: int | None, **said: object) -> int:
    """Kill real servers at random moments while runs are started, and look at what is left of them.

    The exit status is 1 when a run is lost, stuck or failed, a step begun twice or after its run, output cut short, or
    anything left over. Folder and database are new and removed in the end; no database that is there is touched,
    and no settings but these count.
    """
    options = Options(seed=secrets.randbits(32) if seed is None else seed, **said)  # type: ignore[arg-type]
    _check(options)
    try:
        with _interrupted_by_sigterm(), nullcontext(None) if options.schedules else _ground(options) as ground:
            return _report(_choose(options, ground), options)
    except TortureError as error:
        raise click.ClickException(f"the torture cannot go on: {error}") from error


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the torture as SIGINT does: with its servers, their steps, its folder and its database."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(options: Options) -> None:
    modes = [options.schedules, options.failovers, options.detections, options.sleeps, options.changes]
    if sum(mode is not None for mode in modes) > 1:
        raise click.UsageError("choose one of --schedules, --failovers, --detections, --sleeps and --changes")
    if options.database == "sqlite" and options.database_url:
        raise click.UsageError("--database sqlite makes its own file; leave out --database-url, or say postgresql")
    if options.database_url:
        _check_url(options.database_url)
    if options.database == "postgresql" and not options.database_url:
        raise click.UsageError(f"--database postgresql {_NO_SERVER}")
    if _needs_postgresql(options) and not options.database_url:
        raise click.UsageError(f"more than one process on a database {_NO_SERVER}")
    if options.workers and not is_installed():
        raise click.UsageError("--workers needs PgQueuer; pip install 'dagbook[distributed]'")


def _check_url(url: str) -> None:
    try:
        is_file = sqlite_path(url) is not None
    except ValueError as error:
        raise click.UsageError(f"--database-url: {error}") from error
    if is_file:
        raise click.UsageError("--database-url is for PostgreSQL; on SQLite the torture makes a file of its own")


def _needs_postgresql(options: Options) -> bool:
    several = options.servers > 1 or options.workers > 0
    return several or any(mode is not None for mode in (options.failovers, options.detections, options.sleeps))


@contextmanager
def _ground(options: Options) -> Iterator[Ground]:
    with own_ground(options.database_url, keep=options.keep) as ground:
        yield ground
    if options.keep:
        click.echo(f"kept: {ground.directory} {hide_password(ground.url) if ground.url else ''}".rstrip())


def _tell(text: str) -> None:
    click.echo(f"  … {text}", err=True)


def _choose(options: Options, ground: Ground | None) -> Trial:
    if ground is None:
        return Schedules(options.schedules or 0, options.seed, _tell)
    servers = max(options.servers, 2)
    trials: list[tuple[int | None, Callable[[int], Trial]]] = [
        (options.failovers, lambda rounds: Failover(ground, Plan(rounds, options.dags, options.seed), _tell)),
        (
            options.detections,
            lambda rounds: Detection(ground, servers=servers, rounds=rounds, seed=options.seed, tell=_tell),
        ),
        (
            options.sleeps,
            lambda rounds: Sleeping(
                ground, rounds=rounds, seconds=options.sleep_seconds, seed=options.seed, tell=_tell
            ),
        ),
        (options.changes, lambda rounds: Changes(ground, rounds=rounds, seed=options.seed, tell=_tell)),
    ]
    for rounds, make in trials:
        if rounds is not None:
            return make(rounds)
    size = Size(options.kills, options.runs, options.seed)
    if options.servers == 1 and not options.workers:
        return Killing(ground, size, _tell)
    return CrowdKilling(ground, size, Crowd(options.servers, options.workers), _tell)


def _report(trial: Trial, options: Options) -> int:
    click.echo(f"dagbook {__version__} torture, {_shown(options)}, seed {options.seed}, load {os.getloadavg()[0]:.1f}")
    begin = time.monotonic()
    wrong = trial.run()
    figures = {**trial.figures(), "wall time": f"{time.monotonic() - begin:.1f} s", "violations": str(len(wrong))}
    for name, figure in figures.items():
        click.echo(f"  {name}: {figure}")
    for sentence in wrong[:_MOST_SENTENCES]:
        click.echo(f"  {sentence}")
    return 1 if wrong else 0


def _shown(options: Options) -> str:
    kinds: list[tuple[int | None, Callable[[int], str]]] = [
        (options.schedules, lambda cases: f"{cases} schedules"),
        (options.failovers, lambda rounds: f"{rounds} failovers of two schedulers with {options.dags} DAGs"),
        (options.detections, lambda rounds: f"{rounds} detections by {max(options.servers, 2)} servers"),
        (options.changes, lambda rounds: f"{rounds} changes of the world"),
        (options.sleeps, lambda rounds: f"{rounds} sleeps of {options.sleep_seconds:g} s"),
    ]
    for count, show in kinds:
        if count is not None:
            return show(count)
    where = "postgresql" if options.database_url else "sqlite"
    return (
        f"{where}, {options.servers} servers and {options.workers} workers, {options.kills} kills, {options.runs} runs"
    )
