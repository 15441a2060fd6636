"""Measure what the page on capacity is made of, on PostgreSQL with fsync.

    python -m scripts.measuring.capacity.measure costs --result FILE     what runs, processes, pages and reads cost
    python -m scripts.measuring.capacity.measure checks --result FILE    several servers and workers
    python -m scripts.measuring.capacity.measure history --result FILE   one server with a history; --round N: its size

``scripts/figures run capacity-costs capacity-checks capacity-history`` keeps the results, which are shown in
docs/explanation/capacity.md.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from dagbook.unix.signals import give_children_default_signals
from scripts.measuring.capacity.meter import Cost, Meter
from scripts.measuring.capacity.model import ACTIVE, HISTORY, PROCESSES
from scripts.measuring.capacity.scene import SELECTOR, Scene, make_scene
from scripts.measuring.figures import facts, results

PACE = 8.0  # runs of two steps each second, so few that each commit has one run
_SECONDS, _QUICK_SECONDS = 12.0, 2.0
_PAGES, _WAITING, _SCHEDULES, _FLUSHES = 20, 200, 200, 100
_DELETABLE_SECONDS = 62.0  # retention leaves runs alone that finished within the last minute
_CRON = 'schedule: "0 0 1 1 *"\n'
_READS = {"list of DAGs": "/dags", "list of runs": "/dag-runs", "runs of a DAG": "/dags/steps2/dag-runs"}


class Bench:
    """Takes the samples of one part; ``seconds`` is how long each thing is measured."""

    def __init__(self, scene: Scene, seconds: float) -> None:
        self.scene = scene
        self.seconds = seconds
        self.samples: dict[str, list[float]] = {}

    def note(self, name: str, cost: Cost) -> Cost:
        """Add the fields of a cost as samples."""
        for field, value in msgspec.structs.asdict(cost).items():
            if field != "seconds":
                self.samples[f"{name}: {field}"] = [round(value, 4)]
        return cost

    def spend(self, meter: Meter, *others: Cost) -> Cost:
        """Return what nothing but time costs each second, beyond ``others``."""
        return self.beyond(meter, lambda: time.sleep(self.seconds), *others).per(self.seconds)

    def beyond(self, meter: Meter, work: Callable[[], object], *others: Cost) -> Cost:
        """Return what some work costs, beyond ``others`` for each second that it takes."""
        begin = meter.read()
        work()
        spent = meter.since(begin)
        for other in others:
            spent = spent.plus(other, -spent.seconds)
        return spent

    def runs(self, meter: Meter, name: str, rate: float, *others: Cost) -> Cost:
        """Return what a run costs that is started at this rate."""
        before = self.scene.finished()
        spent = self.beyond(meter, lambda: self.scene.pace([name], rate, self.seconds), *others)
        return spent.per(self.scene.finished() - before)


def measure_costs(bench: Bench) -> None:
    """Measure what each thing costs beside one server that has nothing else to do."""
    scene = bench.scene
    bench.samples["flush to the disk, ms"] = _flush(scene.folder)
    with scene.running() as meter:
        for steps in (2, 10):
            scene.store_dag(f"steps{steps}", steps)
            scene.pace([f"steps{steps}"], PACE, 2)  # opens connections and prepares statements
        idle = bench.note("an idle server, a second", bench.spend(meter))
        for steps in (10, 2):
            alone = bench.note(f"a run of {steps} steps", bench.runs(meter, f"steps{steps}", PACE * 2 / steps, idle))
            bench.samples[f"start to end of {steps} steps, ms"] = scene.latencies(f"steps{steps}", bench.seconds)
        _measure_highest_rate(bench, meter, idle)
        with scene.pages(_PAGES):
            pages = bench.spend(meter, idle)
            watched = bench.runs(meter, "steps2", PACE, idle, pages).plus(alone, -1)
        bench.note("an open page, a second", pages.per(_PAGES))
        bench.note("a run of 2 steps, for each open page", watched.per(_PAGES))
        _measure_reads(bench, meter, "", idle)
    with scene.running(workers=1) as meter:
        working = bench.spend(meter)
        bench.note("an idle worker, a second", working.plus(idle, -1))
        scene.store_dag("carried", 2, SELECTOR)
        bench.note("a run of 2 steps by a worker", bench.runs(meter, "carried", PACE, working))
    with scene.running() as meter:
        _measure_stored(bench, meter, idle)


def _flush(folder: Path) -> list[float]:
    """Time what a commit has to wait for."""
    found = []
    with (folder / "flushed").open("wb") as file:
        for _ in range(_FLUSHES):
            file.write(bytes(8192))
            file.flush()
            begin = time.monotonic()
            os.fdatasync(file.fileno())
            found.append(round((time.monotonic() - begin) * 1000, 3))
    return sorted(found)


def _measure_highest_rate(bench: Bench, meter: Meter, idle: Cost) -> None:
    scene, before = bench.scene, bench.scene.sizes()
    rates: list[tuple[float, int]] = []
    spent = bench.beyond(meter, lambda: rates.append(scene.saturate(["steps2"], ACTIVE, bench.seconds)), idle)
    [(rate, count)] = rates
    bench.samples["runs a second, 32 at a time"] = [rate]
    bench.note("a run of 2 steps, 32 at a time", spent.per(count))
    for table, size in scene.sizes().items():
        if size > before[table]:
            bench.samples[f"bytes of a run of 2 steps: {table}"] = [round((size - before[table]) / count, 1)]


def _measure_reads(bench: Bench, meter: Meter, suffix: str, idle: Cost) -> None:
    """Measure requests in sequence."""
    client, count = bench.scene.servers[0].api.client, max(int(bench.seconds * 5), 1)
    for name, path in _READS.items():
        found: list[float] = []

        def read(path: str = path, found: list[float] = found) -> None:
            answers = (client.get(path).raise_for_status() for _ in range(count))
            found.extend(answer.elapsed.total_seconds() * 1000 for answer in answers)

        bench.note(f"{name}{suffix}", bench.beyond(meter, read, idle).per(count))
        bench.samples[f"{name}{suffix}, ms"] = sorted(found)


def _measure_stored(bench: Bench, meter: Meter, idle: Cost) -> None:
    """Measure queued runs, schedules that are not due, and the deletion of runs; leaves runs that wait."""
    scene = bench.scene
    scene.servers[0].api.store("waiting", "maxActiveRuns: 1\nsteps: [{name: a, command: sleep 1000}]\n")
    for number in range(_WAITING + 1):
        scene.start(number, "waiting", "enqueue")
    time.sleep(2)
    waiting = bench.note("a waiting run, a second", bench.spend(meter, idle).per(_WAITING))
    for number in range(_SCHEDULES):
        scene.store_dag(f"scheduled{number}", 2, _CRON)
    scheduled = bench.beyond(meter, lambda: time.sleep(_DELETABLE_SECONDS), idle.plus(waiting, _WAITING))
    bench.note("a schedule, a minute", scheduled.per(_SCHEDULES * _DELETABLE_SECONDS / 60))
    deleted = 0

    def delete() -> None:
        nonlocal deleted
        more = True
        while more:
            client = scene.servers[0].api.client
            gone = client.post("/retention/cleanup", json={"olderThanSeconds": 0}).raise_for_status().json()
            deleted, more = deleted + gone["runs"], gone["more"]

    bench.note("a deleted run", bench.beyond(meter, delete, idle).per(max(deleted, 1)))


def measure_checks(bench: Bench, processes: Sequence[int]) -> None:
    """Measure several servers, then several workers beside one server."""
    names = [f"check{number}" for number in range(ACTIVE)]  # starts of one DAG wait for each other's commits
    with bench.scene.running():
        for name in names:
            bench.scene.store_dag(name, 2)
        bench.scene.store_dag("carried", 2, SELECTOR)
    for count in processes:
        with bench.scene.running(servers=count) as meter:
            _measure_processes(bench, meter, f"{count} servers", names)
    for count in processes:
        with bench.scene.running(workers=count) as meter:
            _measure_processes(bench, meter, f"{count} workers", ["carried"])


def _measure_processes(bench: Bench, meter: Meter, processes: str, names: list[str]) -> None:
    scene, rates = bench.scene, [0.0]
    scene.saturate(names, ACTIVE, 2)  # opens connections and prepares statements
    idle = bench.note(f"{processes}, idle, a second", bench.spend(meter))

    def saturate() -> None:
        rates[0], _ = scene.saturate(names, ACTIVE, bench.seconds)

    before = scene.finished()
    spent = bench.beyond(meter, saturate, idle)
    bench.note(f"{processes}, at the highest rate, a run", spent.per(scene.finished() - before))
    bench.samples[f"{processes}: runs a second"] = rates
    bench.samples[f"{processes}: connections"] = [meter.connections()]
    scene.pace(names, max(rates[0] / 2, 1.0), bench.seconds)
    bench.samples[f"{processes}, at half the rate: start to end, ms"] = scene.latencies("c%", bench.seconds)


def measure_history(bench: Bench, runs: int) -> None:
    """Measure one server with a history of this size."""
    scene = bench.scene
    before = sum(scene.sizes().values())
    bench.samples[f"{runs} runs: seconds to make them"] = [scene.seed(runs)]
    bench.samples[f"{runs} runs: bytes of each"] = [(sum(scene.sizes().values()) - before) / runs]
    bench.samples[f"{runs} runs: levels of the index of ids"] = [scene.levels("uq_runs_root")]
    with scene.running() as meter:
        scene.store_dag("steps2", 2)
        scene.pace(["steps2"], PACE, 2)
        idle = bench.note(f"{runs} runs: an idle server, a second", bench.spend(meter))
        bench.note(f"{runs} runs: a run of 2 steps", bench.runs(meter, "steps2", PACE, idle))
        bench.samples[f"{runs} runs: start to end of 2 steps, ms"] = scene.latencies("steps2", bench.seconds)
        _measure_reads(bench, meter, f" of {runs}", idle)
    bench.samples[f"{runs} runs: seconds of VACUUM"] = [scene.vacuum()]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("part", type=click.Choice(["costs", "checks", "history"]))
@click.option("--quick", is_flag=True, help="Short: shows that it works.")
@click.option("--round", "number", type=click.IntRange(1), default=1, help="Of history: the size, 1 to 3.")
@click.option("--result", type=click.Path(dir_okay=False, path_type=Path), required=True)
def measure(part: str, number: int, result: Path, *, quick: bool) -> None:
    """Measure one part."""
    load, commit, begin = facts.load(), facts.read_commit(), time.monotonic()
    with make_scene() as scene:
        bench = Bench(scene, _QUICK_SECONDS if quick else _SECONDS)
        database, fsync = facts.read_database(scene.cluster.url, scene.folder)
        match part:
            case "costs":
                measure_costs(bench)
            case "checks":
                measure_checks(bench, PROCESSES[:2] if quick else PROCESSES)
            case _:
                measure_history(bench, HISTORY[number - 1] // (1000 if quick else 1))
    found = results.Result(
        promise="capacity",
        experiment=part,
        engine="postgresql",
        fsync=fsync,
        **commit._asdict(),
        date=facts.now(),
        seconds=round(time.monotonic() - begin, 1),
        machine=facts.describe_machine(database, load),
        command=facts.describe_command("python -m scripts.measuring.capacity.measure", sys.argv[1:], None),
        samples=bench.samples,
        violation_count=0,
        violations=(),
    )
    results.write(result, found)


if __name__ == "__main__":
    give_children_default_signals()
    measure(prog_name="python -m scripts.measuring.capacity.measure")
