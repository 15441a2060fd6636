"""The plan: which experiments and benchmarks are measured, on which engine, and how large.

A full size is made of equal parts, each with a seed and a result of its own, so that it can be interrupted. The order
is that in which they run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

SIZES = ("smoke", "full")
ENGINES = ("sqlite", "postgresql")
REFERENCE = "reference"  # beside the engines, in results of benchmarks
EXPERIMENTS = "tests.chaos.cli"
BENCHES = "scripts.measuring.figures.benches"
REPEATED = "scripts.measuring.figures.repeated"
HOOKS = "scripts.measuring.hooks"
BESIDE_BATCH = "scripts.measuring.beside_batch"
CAPACITY = "scripts.measuring.capacity.measure"


class Size(NamedTuple):
    """How many parts, and the options of each."""

    parts: int
    options: str


class Planned(NamedTuple):
    """An experiment of ``scripts/chaos`` on one engine, repeated tests, or a scenario of the benchmarks.

    ``command`` is its first word; ``seed`` is that of the first part, and each other part has the next one.
    """

    id: str
    engine: str  # empty: none, or several in one part
    command: str
    seed: int
    smoke: Size
    full: Size
    module: str = EXPERIMENTS

    @property
    def name(self) -> str:
        """The name of its file."""
        return "-".join(filter(None, (self.id, self.engine)))

    def size(self, name: str) -> Size:
        return self.full if name == "full" else self.smoke

    def parts(self, size: str) -> Iterator[Part]:
        """Return the parts of a size."""
        for number in range(1, self.size(size).parts + 1):
            yield Part(self, size, number)


class Part(NamedTuple):
    """One part of an experiment."""

    planned: Planned
    size: str
    number: int

    @property
    def words(self) -> list[str]:
        """The command line after the module, without the result file."""
        planned = self.planned
        words = [planned.command, *planned.size(self.size).options.split()]
        if planned.module == EXPERIMENTS:
            return [*words, "--seed", str(planned.seed + self.number - 1)]
        return [*words, "--round", str(self.number)]

    def path(self, folder: Path) -> Path:
        """Return the file of the results of its experiment."""
        return folder / f"{self.planned.name}{'' if self.size == 'full' else f'-{self.size}'}.jsonl"


def _on_both(id_: str, command: str, seed: int, smoke: Size, full: Size, *others: Size) -> Iterator[Planned]:
    """Plan an experiment on both engines; ``others`` has the full size on PostgreSQL, if it is another one."""
    for engine, whole in zip(ENGINES, (full, *others, full), strict=False):
        small, large = (Size(size.parts, f"--database {engine} {size.options}") for size in (smoke, whole))
        yield Planned(id_, engine, command, seed + 100 * ENGINES.index(engine), small, large)


def _bench(id_: str, scenario: str, rounds: int, options: str = "", module: str = BENCHES) -> Planned:
    return Planned(id_, "", scenario, 0, Size(1, "--quick"), Size(rounds, options), module)


# They need a machine without other work, so they run only when they are named.
BENCH_PLAN = (
    _bench("start-up", "footprint", 5),
    _bench("curve", "curve", 3),
    _bench("mixed", "mixed", 3),
    _bench("lists", "reads", 3, "--set history=1000/10000"),
    _bench("lists-of-a-million", "reads", 1, "--set history=10000/1000000 --without-reference"),
    _bench("soak", "soak", 1),
    _bench("hooks", "steady", 3, module=HOOKS),
    _bench("batch", "beside", 3, module=BESIDE_BATCH),
    _bench("capacity-costs", "costs", 1, module=CAPACITY),
    _bench("capacity-checks", "checks", 1, module=CAPACITY),
    _bench("capacity-history", "history", 3, module=CAPACITY),  # a size of the history each
)
_FIFTY = "--kills 50 --runs 250"
_KILLS = _on_both("R1", "kill", 10_100, Size(1, "--kills 30 --runs 150"), Size(10, _FIFTY), Size(4, _FIFTY))
_SEVERAL = Size(10, "--servers 3 --workers 2 --kills 30 --runs 300")


def _named(command: str, id_: str, seed: int, parts: int) -> Iterator[Planned]:
    """Plan a fault experiment on alerts or triggers, on both engines."""
    yield from _on_both(id_, command, seed, Size(1, f"{id_} --size smoke"), Size(parts, id_))


def _named_of_several(command: str, id_: str, seed: int, parts: int) -> Planned:
    """Plan a fault experiment on alerts or triggers that needs PostgreSQL."""
    return Planned(id_, "postgresql", command, seed, Size(1, f"{id_} --size smoke"), Size(parts, id_))


_FEW_KILLS = "--kills 3 --times 30"
_FULL_DISK = "tests/process/test_full_disk.py"
PLAN = (
    next(_KILLS),
    Planned("R10", "", "schedules", 100_100, Size(1, "--cases 2000"), Size(5, "--cases 20000")),
    Planned("R2", "postgresql", "kill", 20_100, Size(1, "--servers 3 --kills 20 --runs 100"), _SEVERAL),
    Planned("R6", "postgresql", "detection", 60_100, Size(1, "--rounds 20"), Size(10, "--servers 3 --rounds 20")),
    *_on_both("R16", "upgrade", 160_100, Size(1, "--seconds 20"), Size(10, "--rounds 1")),
    *_on_both("R17", "host-changes", 170_100, Size(1, "--rounds 9"), Size(5, "--rounds 10")),
    Planned("R7", "postgresql", "pause", 70_100, Size(1, "--rounds 1 --seconds 20"), Size(10, "--rounds 1")),
    Planned("R11", "postgresql", "failover", 110_100, Size(1, "--rounds 2"), Size(4, "--rounds 5")),
    *_on_both("backup", "backup", 200_100, Size(1, "--rounds 1"), Size(4, "--rounds 5")),
    Planned("R3", "postgresql", "outage", 30_100, Size(1, "--stops 5 --runs 100"), Size(10, "--stops 10 --runs 200")),
    *_on_both("R5", "sweep", 50_100, Size(1, "--every 10"), Size(1, "--every 1")),
    *_on_both("R8", "power-loss", 80_100, Size(1, "--copies 50"), Size(10, "--copies 100"), Size(10, "--copies 10")),
    *_on_both("R13", "history", 130_100, Size(1, "--operations 2000"), Size(10, "--operations 10000")),
    Planned("R9", "sqlite", "R9", 0, Size(1, _FULL_DISK), Size(3, f"{_FULL_DISK} --rounds 10"), REPEATED),
    *_KILLS,
    *_named("alerts", "FA1", 310_100, 1),
    _named_of_several("alerts", "FA2", 320_100, 14),
    *_named("alerts", "FA3", 330_100, 5),
    *_named("alerts", "FA4", 340_100, 6),
    _named_of_several("alerts", "FA5", 350_100, 5),
    _named_of_several("alerts", "FA6", 360_100, 5),
    *_named("alerts", "FA7", 370_100, 5),
    _named_of_several("alerts", "FA8", 380_100, 10),
    _named_of_several("alerts", "FA9", 390_100, 5),
    *_named("triggers", "FB1", 410_100, 1),
    _named_of_several("triggers", "FB2", 420_100, 13),
    _named_of_several("triggers", "FB3", 430_100, 5),
    *_named("triggers", "FB4", 440_100, 1),
    *_named("triggers", "FB5", 450_100, 1),
    _named_of_several("triggers", "FB6", 460_100, 5),
    *_named("triggers", "FB7", 470_100, 5),
    _named_of_several("triggers", "FB8", 480_100, 10),
    *_named("triggers", "FB9", 490_100, 1),
    *_named("triggers", "FB10", 500_100, 10),
    *_on_both("FC1", "batches", 510_100, Size(1, _FEW_KILLS), Size(10, ""), Size(14, "--servers 3 --times 500")),
)


class Subject(NamedTuple):
    """What an experiment is about: its title, what happens in it, and the counts that a summary shows."""

    title: str
    action: str
    shown: tuple[str, ...]

    def heading(self, id_: str) -> str:
        """Return the heading of its section."""
        return self.title if id_ == self.title.casefold() else f"{id_}: {self.title}"


_SENT = ("events answered", "requests without an answer, or refused with 503")
SUBJECTS = {
    "R1": Subject(
        "a server killed at random",
        "the server is killed (SIGKILL) again and again while runs are started",
        ("kills", "runs answered", "steps started", "steps running when their server was killed"),
    ),
    "R2": Subject(
        "several servers and workers killed at random",
        "one of three servers and two workers at a time is killed or shut down while runs are started",
        ("servers killed", "workers killed", "runs answered", "steps started"),
    ),
    "R3": Subject(
        "PostgreSQL stopped hard",
        "PostgreSQL is stopped as by a crash every 5 to 40 s while runs are started",
        ("stops of PostgreSQL", "runs answered", "steps started", "steps running at a stop"),
    ),
    "R5": Subject(
        "a fault at every commit",
        "the server is killed before and after every commit of one workflow, and commits are reported as failed",
        ("points, killed before it", "points, killed after it", "points, applied and reported as failed"),
    ),
    "R6": Subject(
        "time until another server adopts",
        "one of three servers is killed while it executes runs",
        ("servers killed", "runs that were adopted"),
    ),
    "R7": Subject(
        "a server paused", "one of two servers is stopped for 120 s (SIGSTOP)", ("pauses", "runs that are succeeded")
    ),
    "R8": Subject(
        "power loss",
        "files are copied as a power loss could leave them, and opened",
        ("copies", "copies in the middle of a checkpoint", "answered runs found in a copy"),
    ),
    "R9": Subject("full disk", "the disk of home and database is full for a while", ("rounds", "tests passed")),
    "R10": Subject(
        "schedules around clock changes",
        "random schedules in 19 zones, compared with all minutes",
        ("schedules around clock changes", "clocks that jumped"),
    ),
    "R11": Subject(
        "schedulers killed around the minute",
        "one of two schedulers is killed around the full minute",
        ("minutes", "scheduled starts", "schedulers killed while a part of the DAGs was started"),
    ),
    "R13": Subject(
        "histories of concurrent clients",
        "16 clients send requests about the same runs; some order has to explain all answers",
        ("requests", "runs", "requests that overlapped another one about the same run"),
    ),
    "R16": Subject(
        "upgrades under load",
        "servers are exchanged for those of the next version while runs are started, queued and due",
        ("servers exchanged", "runs answered"),
    ),
    "R17": Subject(
        "the host changes under running steps",
        "spools are lost, databases moved, containers replaced",
        ("host changes", "runs", "executions started"),
    ),
    "FA1": Subject(
        "a fault at every commit about an alert",
        "the server is killed before and after every commit from a failure to the receipts of its end",
        (
            "points, killed before it",
            "points, killed after it",
            "points, applied and reported as failed",
            "requests to receivers",
            "messages that a receiver got twice",
        ),
    ),
    "FA2": Subject(
        "servers killed while they send",
        "one of three servers and two workers at a time is killed or shut down while runs fail and receivers do, too",
        (
            "servers killed",
            "workers killed",
            "runs answered",
            "requests to receivers",
            "messages that a receiver got twice",
        ),
    ),
    "FA3": Subject(
        "a receiver that is down",
        "a chat is down for 10 min while 500 runs of 50 DAGs fail; another receiver works",
        ("runs failed", "alerts told", "messages that a receiver got twice"),
    ),
    "FA4": Subject(
        "hostile receivers",
        "receivers answer 500, hang, redirect, flood, drip, or have a certificate that nothing trusts",
        ("runs that failed", "requests to receivers"),
    ),
    "FA5": Subject(
        "servers with a wrong clock",
        "the clock of one of two servers is wrong by an hour while both send",
        ("runs", "requests to receivers", "messages that a receiver got twice"),
    ),
    "FA6": Subject(
        "PostgreSQL stopped while alerts are sent",
        "PostgreSQL is stopped as by a crash every 5 to 40 s while runs fail",
        ("stops of PostgreSQL", "runs answered", "requests to receivers", "messages that a receiver got twice"),
    ),
    "FA7": Subject("a burst of failures", "1,000 runs of 200 DAGs fail at once", ("runs", "alerts")),
    "FA8": Subject(
        "an upgrade from the version before alerts",
        "two servers of that version are exchanged one by one while runs fail",
        (
            "servers exchanged",
            "runs answered",
            "runs that a server of the version before has ended after the rule was stored",
        ),
    ),
    "FA9": Subject(
        "silence of servers",
        "all of three servers but one are killed, then that one, too",
        ("servers killed", "pings"),
    ),
    "FB1": Subject(
        "a fault at every commit about an event",
        "the server is killed before and after every commit from a request to the end of the run that follows its run",
        (
            "points, killed before it",
            "points, killed after it",
            "points, applied and reported as failed",
            *_SENT,
        ),
    ),
    "FB2": Subject(
        "servers killed while they receive",
        "one of three servers at a time is killed or shut down while 16 senders send events, a fifth of them twice",
        ("servers killed", *_SENT, "events waiting at a kill"),
    ),
    "FB3": Subject(
        "PostgreSQL stopped while events are sent",
        "PostgreSQL is stopped as by a crash every 5 to 40 s while 16 senders send events, a fifth of them twice",
        ("stops of PostgreSQL", *_SENT),
    ),
    "FB4": Subject(
        "a server killed while it looks at files",
        "10,000 files are copied into a directory while the server that looks at it is killed",
        ("files", "servers killed", "runs"),
    ),
    "FB5": Subject(
        "files that are written slowly",
        "1,000 files are written with pauses shorter and longer than they have to rest, replaced and renamed",
        ("contents", "contents that stayed", "runs"),
    ),
    "FB6": Subject(
        "hooks of servers with a wrong clock",
        "the clock of one of two servers is wrong by an hour while both receive",
        ("events answered", "answers that name the clock"),
    ),
    "FB7": Subject(
        "a flood of forged requests",
        "strangers send 1,000 forged requests a second for 60 s, beside a sender of valid ones",
        ("forged requests", "events answered"),
    ),
    "FB8": Subject(
        "a directory of two servers",
        "files are copied into a directory at which two servers look",
        ("files", "runs"),
    ),
    "FB9": Subject(
        "dry replays",
        "1,000 events are replayed dry, each twice on two revisions of their DAG",
        ("events answered", "dry replays"),
    ),
    "FB10": Subject(
        "upgrades while events are sent",
        "servers are exchanged for those of the next version while a sender sends events",
        ("servers exchanged", "events answered"),
    ),
    "FC1": Subject(
        "servers killed while they work off a batch",
        "one server, or one of three, is killed again and again while a batch starts and retries scheduled times",
        ("servers killed", "scheduled times"),
    ),
    "backup": Subject(
        "Backup",
        "a database is backed up under load and restored elsewhere",
        ("backups restored", "runs answered", "runs in the backups, running"),
    ),
}


def select(ids: Iterable[str], engine: str | None = None) -> list[Planned]:
    """Return what is planned under these ids, on one engine or all; without ids all but the benchmarks.

    Raises ValueError naming an id that is not in the plan.
    """
    plan = [*PLAN, *BENCH_PLAN] if (ids := list(ids)) else PLAN
    wanted = {name.casefold(): name for name in ids}
    known = {one.id.casefold() for one in plan}
    for folded, name in wanted.items():
        if folded not in known:
            raise ValueError(f"{name!r} is not in the plan; it has {', '.join(dict.fromkeys(one.id for one in plan))}")
    return [
        one
        for one in plan
        if (not wanted or one.id.casefold() in wanted) and (not engine or one.engine in ("", engine))
    ]
