"""``scripts/chaos``: one command per experiment."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click

from dagbook import __version__
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.url import hide_password, sqlite_path
from dagbook.queues.worker.transport import is_installed
from dagbook.unix.signals import give_children_default_signals
from tests.chaos.alerts.experiments import EXPERIMENTS as ALERTS
from tests.chaos.backups import BackupExperiment, BackupPlan
from tests.chaos.batches import BatchExperiment, BatchPlan
from tests.chaos.detection import DetectionExperiment
from tests.chaos.experiment import Experiment, ExperimentError
from tests.chaos.failover import FailoverExperiment, Plan
from tests.chaos.history import HistoryExperiment, HistoryPlan
from tests.chaos.host_changes import HostChangeExperiment
from tests.chaos.kill import KillExperiment, Size
from tests.chaos.multi_server import MultiServerKillExperiment, ProcessCounts
from tests.chaos.named import FULL, SMOKE, SQLITE, NamedExperiment
from tests.chaos.outage import OutageExperiment, OutagePlan
from tests.chaos.pause import PauseExperiment
from tests.chaos.power_loss import PowerLossExperiment
from tests.chaos.recording import Recording
from tests.chaos.sandbox import Sandbox, make_sandbox
from tests.chaos.schedules import ScheduleExperiment
from tests.chaos.sweep import SweepExperiment
from tests.chaos.triggers.experiments import EXPERIMENTS as TRIGGERS
from tests.chaos.upgrade import UpgradeExperiment, UpgradePlan
from tests.process.postgres import Cluster
from tests.process.server import ServerError
from tests.process.waiting import NotInTimeError

_MOST_SENTENCES = 100
_COUNT = click.IntRange(1)
_ROUNDS = click.option("--rounds", type=_COUNT, default=10, show_default=True, help="Number of rounds.")
_FAILURES = (ExperimentError, ServerError, NotInTimeError, DatabaseUnavailable)
_RESULT = click.option(
    "--result", type=click.Path(dir_okay=False, path_type=Path), help="Write what was found to this file, as JSON."
)
_DATABASE = click.option(
    "--database",
    type=click.Choice(["sqlite", "postgresql"]),
    help="Default: sqlite, or postgresql with --database-url, several servers or workers.",
)


class Options(NamedTuple):
    """The options of all experiments that start servers."""

    database_url: str
    seed: int
    keep: bool
    result: Path | None


def _new_seed() -> int:
    return secrets.randbits(32)


_SEED = click.option("--seed", type=int, default=_new_seed, metavar="N", help="Seed of an earlier experiment.")


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of all experiments that start servers."""
    for option in (
        click.option("--keep", is_flag=True, help="Keep the folder and the database of the experiment."),
        _RESULT,
        _SEED,
        click.option(
            "--database-url",
            default="",
            metavar="URL",
            callback=_check_url,
            help="PostgreSQL server to make a database on. Default: a throwaway one with fsync, by scripts/postgres.",
        ),
    ):
        command = option(command)
    return command


def _check_url(_context: click.Context, _parameter: click.Parameter, url: str) -> str:
    try:
        is_file = bool(url) and sqlite_path(url) is not None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if is_file:
        raise click.BadParameter("this option is for PostgreSQL; a SQLite file is made in the experiment's own folder")
    return url


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def chaos() -> None:
    """Kill or pause real servers while they work, and check that no run is lost, stuck or started twice.

    Each experiment uses a new folder and a new database and removes both afterwards. Existing databases, settings
    files and DAGBOOK_* variables are not used. The exit status is 1 when there is a violation.
    """


@chaos.command()
@_DATABASE
@click.option("--servers", type=_COUNT, default=1, show_default=True, help="More than one needs PostgreSQL.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Workers need PostgreSQL.")
@click.option("--kills", type=_COUNT, default=30, show_default=True, help="Number of kills.")
@click.option("--runs", type=_COUNT, default=100, show_default=True, help="Number of runs started meanwhile.")
@_server_options
def kill(database: str | None, servers: int, workers: int, kills: int, runs: int, **common: Any) -> None:
    """Kill servers and workers while runs are started."""
    options = Options(**common)
    several = servers > 1 or workers > 0
    if workers and not is_installed():
        raise click.UsageError("--workers needs PgQueuer; pip install 'dagbook[distributed]'")
    if several and database == "sqlite":
        raise click.UsageError("several servers or workers need --database postgresql")
    database = _choose_database(database, options, needs_postgresql=several)
    size = Size(kills, runs, options.seed)

    def make(sandbox: Sandbox) -> Experiment:
        if several:
            return MultiServerKillExperiment(sandbox, size, ProcessCounts(servers, workers), _show)
        return KillExperiment(sandbox, size, _show)

    title = f"kill, {database}, {servers} servers and {workers} workers, {kills} kills, {runs} runs"
    _run_with_servers(make, title, database, options, "R2" if several else "R1")


@chaos.command()
@click.option("--servers", type=click.IntRange(2), default=2, show_default=True, help="Number of servers.")
@_ROUNDS
@_server_options
def detection(servers: int, rounds: int, **common: Any) -> None:
    """Measure how long the runs of a killed server have no owner."""
    options = Options(**common)
    _run_with_servers(
        lambda sandbox: DetectionExperiment(sandbox, servers=servers, rounds=rounds, seed=options.seed, show=_show),
        f"detection, {rounds} rounds with {servers} servers",
        "postgresql",
        options,
        "R6",
    )


@chaos.command()
@click.option("--stops", type=_COUNT, default=5, show_default=True, help="Number of stops.")
@click.option("--runs", type=_COUNT, default=50, show_default=True, help="Number of runs started meanwhile.")
@_server_options
def outage(stops: int, runs: int, **common: Any) -> None:
    """Stop PostgreSQL hard every 5 to 40 seconds while runs are started.

    The server is not restarted. Needs a PostgreSQL server of its own, so there is no --database-url.
    """
    options = Options(**common)
    _refuse_database_url(options)
    _run_with_servers(
        lambda sandbox: OutageExperiment(sandbox, OutagePlan(stops, runs, options.seed), _show),
        f"outage, {stops} stops, {runs} runs",
        "postgresql",
        options,
        "R3",
    )


@chaos.command("power-loss")
@_DATABASE
@click.option("--copies", type=_COUNT, default=50, show_default=True, help="Number of copies.")
@_server_options
def power_loss(database: str | None, copies: int, **common: Any) -> None:
    """Copy the files of a database under load as a power loss could leave them.

    Each copy is opened and checked. Needs a database of its own, so there is no --database-url.
    """
    options = Options(**common)
    _refuse_database_url(options)
    database = _choose_database(database, options)
    _run_with_servers(
        lambda sandbox: PowerLossExperiment(sandbox, copies, options.seed, _show),
        f"power loss, {database}, {copies} copies",
        database,
        options,
        "R8",
    )


@chaos.command()
@_DATABASE
@click.option("--every", type=_COUNT, default=1, show_default=True, help="Take one of so many points.")
@_server_options
def sweep(database: str | None, every: int, **common: Any) -> None:
    """Put a fault at every commit of one workflow: killed before it, killed after it, reported as failed."""
    options = Options(**common)
    database = _choose_database(database, options)
    first = random.Random(options.seed).randint(1, every)
    _run_with_servers(
        lambda sandbox: SweepExperiment(sandbox, every=every, first=first, show=_show),
        f"sweep, {database}, every {every} commits",
        database,
        options,
        "R5",
    )


@chaos.command()
@_DATABASE
@click.option("--operations", type=_COUNT, default=2000, show_default=True, help="Number of requests.")
@click.option("--servers", type=_COUNT, help="Default: 1 on SQLite, 2 on PostgreSQL.")
@_server_options
def history(database: str | None, operations: int, servers: int | None, **common: Any) -> None:
    """Let 16 clients send requests about the same runs, and search an order that explains all answers."""
    options = Options(**common)
    database = _choose_database(database, options, needs_postgresql=(servers or 1) > 1)
    if database == "sqlite" and (servers or 1) > 1:
        raise click.UsageError("several servers need --database postgresql")
    plan = HistoryPlan(operations, options.seed, servers or (1 if database == "sqlite" else 2))
    _run_with_servers(
        lambda sandbox: HistoryExperiment(sandbox, plan, _show),
        f"history, {database}, {operations} requests to {plan.servers} servers",
        database,
        options,
        "R13",
    )


@chaos.command()
@_ROUNDS
@click.option("--dags", type=_COUNT, default=20, show_default=True, help="Number of DAGs that are due every minute.")
@_server_options
def failover(rounds: int, dags: int, **common: Any) -> None:
    """Kill one of two schedulers around each full minute."""
    options = Options(**common)
    _run_with_servers(
        lambda sandbox: FailoverExperiment(sandbox, Plan(rounds, dags, options.seed), _show),
        f"failover, {rounds} minutes with {dags} DAGs",
        "postgresql",
        options,
        "R11",
    )


@chaos.command()
@_ROUNDS
@click.option("--seconds", type=click.FloatRange(2), default=120, show_default=True, help="Length of each pause.")
@_server_options
def pause(rounds: int, seconds: float, **common: Any) -> None:
    """Pause one of two servers with SIGSTOP, and let it continue."""
    options = Options(**common)
    _run_with_servers(
        lambda sandbox: PauseExperiment(sandbox, rounds=rounds, seconds=seconds, seed=options.seed, show=_show),
        f"pause, {rounds} pauses of {seconds:g} s",
        "postgresql",
        options,
        "R7",
    )


@chaos.command("host-changes")
@_DATABASE
@_ROUNDS
@_server_options
def host_changes(database: str | None, rounds: int, **common: Any) -> None:
    """Lose spools, homes or containers under running steps.

    Before another server starts, a spool is lost, a SQLite database is moved to another home, or the container of the
    server (a PID namespace) is replaced. Requires root.
    """
    options = Options(**common)
    database = _choose_database(database, options)
    _run_with_servers(
        lambda sandbox: HostChangeExperiment(sandbox, rounds=rounds, seed=options.seed, show=_show),
        f"host changes, {database}, {rounds} changes",
        database,
        options,
        "R17",
    )


@chaos.command()
@_DATABASE
@click.option("--rounds", type=_COUNT, default=1, show_default=True, help="Number of rounds.")
@click.option(
    "--seconds", type=click.FloatRange(1), default=60, show_default=True, help="How long old and new run side by side."
)
@_server_options
def upgrade(database: str | None, rounds: int, seconds: float, **common: Any) -> None:
    """Exchange servers one by one for those of the next version.

    Runs are started, queued and due meanwhile. Until there is a next version, it is this one with a revision more. On
    SQLite one server ends before the next one starts.
    """
    options = Options(**common)
    database = _choose_database(database, options)
    plan = UpgradePlan(rounds, 2 if database == "postgresql" else 1, seconds, options.seed)
    _run_with_servers(
        lambda sandbox: UpgradeExperiment(sandbox, plan, _show),
        f"upgrade, {database}, {rounds} rounds",
        database,
        options,
        "R16",
    )


@chaos.command()
@_DATABASE
@_ROUNDS
@_server_options
def backup(database: str | None, rounds: int, **common: Any) -> None:
    """Back up a database under load, and restore it into another place that is held.

    Runs are started, queued and due meanwhile. Each round takes a minute, so that schedules are due while the restored
    place is held. Then its queues are cleared, and it is resumed.
    """
    options = Options(**common)
    database = _choose_database(database, options)
    _run_with_servers(
        lambda sandbox: BackupExperiment(sandbox, BackupPlan(rounds, options.seed), _show),
        f"backup, {database}, {rounds} rounds",
        database,
        options,
        "backup",
    )


@chaos.command()
@_DATABASE
@click.option("--servers", type=_COUNT, default=1, show_default=True, help="More than one needs PostgreSQL.")
@click.option("--kills", type=_COUNT, default=20, show_default=True, help="Number of kills.")
@click.option("--times", type=_COUNT, default=200, show_default=True, help="Number of scheduled times in the batch.")
@_server_options
def batches(database: str | None, servers: int, kills: int, times: int, **common: Any) -> None:
    """Kill servers while they work off a batch of scheduled times, a third of which have failed before."""
    options = Options(**common)
    if servers > 1 and database == "sqlite":
        raise click.UsageError("several servers need --database postgresql")
    database = _choose_database(database, options, needs_postgresql=servers > 1)
    plan = BatchPlan(servers, times, times // 3, kills, options.seed)
    title = f"batches, {database}, {servers} servers, {kills} kills, {times} scheduled times"
    _run_with_servers(lambda sandbox: BatchExperiment(sandbox, plan, _show), title, database, options, "FC1")


def _named_options(experiments: Mapping[str, NamedExperiment]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add what commands have that choose an experiment by its name."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = _DATABASE(_server_options(command))
        command = click.option("--size", type=click.Choice([SMOKE, FULL]), default=FULL, show_default=True)(command)
        return click.argument("name", type=click.Choice(list(experiments), case_sensitive=False))(command)

    return add


@chaos.command()
@_named_options(ALERTS)
def alerts(name: str, **common: Any) -> None:
    """Interfere while alerts are routed and sent.

    \b
    FA1  a fault at every commit              FA5  wrong clocks
    FA2  kills of servers and workers         FA6  PostgreSQL is stopped
    FA3  a receiver that is down              FA7  a burst of failures
    FA4  hostile receivers                    FA8  an upgrade from the version before
    FA9  silence of servers
    """
    _run_named("alerts", name, ALERTS[name], **common)


@chaos.command()
@_named_options(TRIGGERS)
def triggers(name: str, **common: Any) -> None:
    """Interfere while triggers receive or see events, and start them.

    \b
    FB1  a fault at every commit              FB6  wrong clocks
    FB2  kills of servers                     FB7  a flood of forged requests
    FB3  PostgreSQL is stopped                FB8  a directory of two servers
    FB4  files, and kills                     FB9  dry replays
    FB5  files that are written slowly        FB10 upgrades
    """
    _run_named("triggers", name, TRIGGERS[name], **common)


def _run_named(
    kind: str, name: str, experiment: NamedExperiment, *, size: str, database: str | None, **common: Any
) -> None:
    options = Options(**common)
    database = _choose_database(database, options, needs_postgresql=SQLITE not in experiment.engines)
    if database not in experiment.engines:
        raise click.UsageError(f"{name} needs --database postgresql")
    _run_with_servers(
        lambda sandbox: experiment.make(sandbox, options.seed, size == FULL, _show),
        f"{kind}: {experiment.title}, {database}",
        database,
        options,
        name,
    )


@chaos.command()
@click.option("--cases", type=_COUNT, default=10_000, show_default=True, help="Number of schedules.")
@_SEED
@_RESULT
def schedules(cases: int, seed: int, result: Path | None) -> None:
    """Check random schedules around clock changes.

    Starts no server.
    """
    _run(ScheduleExperiment(cases, seed, _show), Recording("R10", f"schedules, {cases} cases", seed, result))


def _choose_database(database: str | None, options: Options, *, needs_postgresql: bool = False) -> str:
    if database == "sqlite" and options.database_url:
        raise click.UsageError("--database sqlite makes a file of its own; omit --database-url")
    return database or ("postgresql" if options.database_url or needs_postgresql else "sqlite")


def _refuse_database_url(options: Options) -> None:
    if options.database_url:
        raise click.UsageError("this experiment stops its PostgreSQL server; omit --database-url")


def _run_with_servers(
    make: Callable[[Sandbox], Experiment], title: str, database: str, options: Options, promise: str
) -> None:
    throwaway = database == "postgresql" and not options.database_url
    if throwaway and options.keep:
        raise click.UsageError("--keep needs --database-url: a throwaway PostgreSQL server is removed at the end")
    try:
        with ExitStack() as stack:
            stack.enter_context(_interrupted_by_sigterm())
            cluster = stack.enter_context(_throwaway_server()) if throwaway else None
            sandbox = stack.enter_context(make_sandbox(options.database_url, cluster=cluster, keep=options.keep))
            if options.keep:
                stack.callback(_show_kept, sandbox)
            recording = Recording(promise, title, options.seed, options.result)
            if options.result:
                recording.read_database(sandbox)
            _run(make(sandbox), recording)
    except _FAILURES as error:
        raise click.ClickException(f"the experiment cannot go on: {error}") from error


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the experiment as SIGINT does: with its servers, their steps, its folder and its database."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _throwaway_server() -> Iterator[Cluster]:
    cluster = Cluster(durable=True)
    try:
        yield cluster
    finally:
        cluster.remove()


def _show_kept(sandbox: Sandbox) -> None:
    click.echo(f"kept: {sandbox.directory} {hide_password(sandbox.url) if sandbox.url else ''}".rstrip())


def _show(text: str) -> None:
    click.echo(f"  … {text}", err=True)


def _run(experiment: Experiment, recording: Recording) -> None:
    click.echo(f"dagbook {__version__}, {recording.title}, seed {recording.seed}, load {os.getloadavg()[0]:.1f}")
    begin = time.monotonic()
    try:
        violations = experiment.run()
    except (ServerError, NotInTimeError) as error:
        # A server that does not start, or waiting in vain, is what an experiment is to find.
        violations = [f"ended early: {error}"]
    seconds = time.monotonic() - begin
    figures = experiment.figures()
    for name, figure in {
        **figures.lines(),
        "wall time": f"{seconds:.1f} s",
        "violations": str(len(violations)),
    }.items():
        click.echo(f"  {name}: {figure}")
    for sentence in violations[:_MOST_SENTENCES]:
        click.echo(f"  {sentence}")
    recording.write(figures, violations, seconds)
    if violations:
        sys.exit(1)


if __name__ == "__main__":
    give_children_default_signals()
    chaos(prog_name="scripts/chaos")
