"""The tables of docs/explanation/capacity.md: costs, predictions, and predictions beside what was measured.

python -m scripts.measuring.capacity.tables --servers 4 --runs-an-hour 100000 --history 1e8     one installation
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
import msgspec

from scripts.measuring.capacity.meter import Cost
from scripts.measuring.capacity.model import (
    ALONE,
    BUSY,
    CARRIED,
    CONNECTIONS,
    GROUPED,
    HISTORY,
    KEPT_HOURS,
    LATENCY,
    PROCESSES,
    SERVER,
    WORKER,
    Costs,
    Installation,
    highest_rate,
    levels,
    predict,
    rate_at_wall,
    total_ms,
)
from scripts.measuring.figures.results import FOLDER, Merged, read

_PARTS = ("costs", "checks", "history")
_CORES_HERE = 2
_NAMES = {
    "statements": "statements",
    "commits": "commits",
    "notifications": "`NOTIFY`",
    "rows": "rows",
    "wal_bytes": "WAL, bytes",
    "server_ms": "our CPU, ms",
    "step_ms": "steps' CPU, ms",
    "database_ms": "PostgreSQL's CPU, ms",
}
_CORES = 8
_WORKERS = (1, 8, 20, 50)
_SERVERS = (1, 2, 5, 10, 20, 50)
_RATES = (1_000, 10_000, 100_000, 1_000_000)
_RUNS = tuple(10**power for power in range(4, 10))
_DAY_SECONDS = 86_400
_GB = 1e9
_ANSWERS = {
    "server": "the core of a server: more servers",
    "database": "PostgreSQL's cores: more cores, a database per team",
    "size": "the size of the history: shorter retention, a database per team",
    "connections": "`max_connections`: raise it",
}


def _merge(folder: Path, part: str) -> Merged:
    return Merged([*read(folder / f"capacity-{part}.jsonl").values()])


def read_costs(folder: Path) -> Costs:
    """Read all that was measured."""
    return Costs({name: values for part in _PARTS for name, values in _merge(folder, part).samples.items()})


def render(folder: Path, block: str) -> Iterator[str]:
    """Yield the lines of a block of the page."""
    if any(not _merge(folder, part).parts for part in _PARTS):
        yield "Not measured yet."
        return
    yield from _BLOCKS[block](read_costs(folder))
    if block in _PARTS:
        yield from _circumstances(_merge(folder, block))


def _circumstances(merged: Merged) -> Iterator[str]:
    first, loads, dates = (
        merged.parts[0],
        "{:g} to {:g}".format(*merged.loads),
        " to ".join(dict.fromkeys(merged.dates)),
    )
    yield f"\n{first.machine.cores} cores; {first.machine.database}, {first.fsync}; {dates};"
    yield f"commit {', '.join(merged.commits)}; load {loads}; `{first.command}`."


def _table(*rows: Iterable[str]) -> Iterator[str]:
    """Yield a table; the first row is its head."""
    for number, cells in enumerate(rows):
        shown = [*cells]
        yield f"| {' | '.join(shown)} |"
        if not number:
            yield "|---" * len(shown) + "|"


def _costs(costs: Costs) -> Iterator[str]:
    things = dict.fromkeys(name.partition(": ")[0] for name in costs.samples if name.endswith(": statements"))
    # Checks have a number of processes or runs in their names.
    shown = [
        name for name in things if name.startswith(("a ", "an ", "list of", "runs of")) and " of 10000" not in name
    ]
    fields = ((thing, (getattr(costs.of(thing), field) for field in _NAMES)) for thing in shown)
    yield from _table(["", *_NAMES.values()], *([thing, *map(_number, values)] for thing, values in fields))


def _bytes(costs: Costs) -> Iterator[str]:
    found = sorted(costs.bytes_by_table().items(), key=lambda pair: -pair[1])
    rows = [(f"`{table}`", _number(size)) for table, size in found]
    yield from _table(("table", "bytes of a run"), *rows, ("all that stay with the run", _number(costs.bytes_a_run)))


def _checks(costs: Costs) -> Iterator[str]:
    rows: list[list[str]] = []
    for count in PROCESSES:
        measured = costs.middle(f"{count} servers: runs a second")
        most = highest_rate(costs, count, _CORES_HERE)
        run = costs.of(f"{count} servers, at the highest rate, a run")
        half = costs.middle(f"{count} servers, at half the rate: start to end, ms")
        idle = costs.of(f"{count} servers, idle, a second").statements
        rows += [
            _check(f"{count} servers: highest rate, runs a second", most, measured),
            _check("CPU of a run at that rate, ms", total_ms(costs.a_run(measured / count)), total_ms(run)),
            _check("commits of a run at that rate", costs.a_run(measured / count).commits, run.commits),
            _check(
                "start to end at half the rate, ms", costs.middle(LATENCY) / (1 - min(measured / 2 / most, 0.99)), half
            ),
            _check("idle: statements a second", costs.of(SERVER).statements * count, idle),
            _check("cores in use at that rate", _CORES_HERE, total_ms(run) * measured / 1000),
            _check("connections, at most", count * CONNECTIONS, costs.middle(f"{count} servers: connections")),
        ]
    yield from _table(("", "predicted", "measured", "error"), *rows)


def _workers(costs: Costs) -> Iterator[str]:
    rows: list[list[str]] = []
    for count in PROCESSES:
        run = costs.of(f"{count} workers, at the highest rate, a run")
        most = highest_rate(costs, 1, _CORES_HERE, workers=count)
        rate = costs.middle(f"{count} workers: runs a second")
        carried = costs.a_run(rate / count).plus(costs.of(CARRIED)).plus(costs.of(ALONE), -1)
        idle = costs.of(SERVER).statements + count * costs.of(WORKER).statements
        rows += [
            _check(f"{count} workers: highest rate, runs a second", most, rate),
            _check("PostgreSQL's CPU of a run at that rate, ms", carried.database_ms, run.database_ms),
            _check("idle: statements a second", idle, costs.of(f"{count} workers, idle, a second").statements),
        ]
    yield from _table(("", "predicted", "measured", "error"), *rows)
    yield from _carrying(costs)


def _carrying(costs: Costs) -> Iterator[str]:
    """Yield what carrying runs costs PostgreSQL, and the rates at which that becomes the wall."""
    ends = (PROCESSES[0], PROCESSES[-1])
    few, many = (costs.of(f"{count} workers, at the highest rate, a run").database_ms for count in ends)
    each = max(many - few, 0) / (ends[1] - ends[0])
    head = (
        "workers",
        "PostgreSQL's CPU of a run, ms",
        "beyond a run on a server, ms",
        "runs an hour, 8 cores at 80 %",
    )
    runs = {count: few + each * (count - ends[0]) for count in _WORKERS}
    rows = []
    for count, run in runs.items():
        rate = BUSY * _CORES / run * 1000 * 3600
        rows.append([f"{count}", _number(run), _number(run - costs.of(GROUPED).database_ms), f"{rate:,.0f}"])
    yield from ("", *_table(head, *rows))


def _history(costs: Costs) -> Iterator[str]:
    """Yield what is predicted from the smallest history; VACUUM, which takes too short there, from the next one."""
    first, million, rows = f"{HISTORY[0]} runs", f"{HISTORY[1]} runs", list[list[str]]()
    for runs in (runs for runs in HISTORY if f"{runs} runs: bytes of each" in costs.samples):
        here, latency, size = f"{runs} runs", ": start to end of 2 steps, ms", ": bytes of each"
        vacuum = runs / HISTORY[1] * costs.middle(f"{million}: seconds of VACUUM")
        rows += [
            _check(f"{runs:,} runs: GB", *(runs / _GB * costs.middle(one + size) for one in (first, here))),
            _check("pages of a search by id", levels(runs), costs.middle(f"{here}: levels of the index of ids")),
            _check("VACUUM of `runs`, s", vacuum, costs.middle(f"{here}: seconds of VACUUM")),
            _check("start to end, ms", *(costs.middle(one + latency) for one in (first, here))),
            _check("CPU of a run, ms", *(_own_ms(costs.of(f"{one}: {ALONE}")) for one in (first, here))),
        ]
        for request in ("list of DAGs", "list of runs", "runs of a DAG"):
            pair = (_own_ms(costs.of(f"{request} of {number}")) for number in (HISTORY[0], runs))
            rows.append(_check(f"{request}, CPU, ms", *pair))
    yield from _table(("", "predicted", "measured", "error"), *rows)


def _own_ms(cost: Cost) -> float:
    return cost.server_ms + cost.database_ms


def _check(name: str, predicted: float, measured: float) -> list[str]:
    error = f"{(predicted - measured) / measured:+.0%}" if measured else "-"
    return [name, _number(predicted), _number(measured), error]


def _predictions(costs: Costs) -> Iterator[str]:
    """Yield a row for each rate and a column for each number of servers."""
    head = ["runs an hour", *map(_count, _SERVERS)]
    rows = []
    for rate in _RATES:
        found = [predict(costs, Installation(servers, rate, KEPT_HOURS * rate)) for servers in _SERVERS]
        latencies = (f"{one.latency_ms:.0f} ms" if one.latency_ms else "**not held**" for one in found)
        loads = (f"server {one.server:.0%}, PostgreSQL {one.database:.0%}" for one in found)
        rows.append([f"{rate:,}", *map("; ".join, zip(latencies, loads, strict=True))])
    shares = (predict(costs, Installation(servers)).connections for servers in _SERVERS)
    yield from _table(head, *rows, ["connections, at most, of PostgreSQL's default", *(f"{one:.0%}" for one in shares)])


def _walls(costs: Costs) -> Iterator[str]:
    head = ("", "a server's core", "PostgreSQL's 8 cores", "1 TiB in 30 days", "connections", "the first wall")
    rows = []
    for servers in _SERVERS:
        rates = {wall: rate_at_wall(costs, servers, wall) for wall in ("server", "database", "size")}
        idle = predict(costs, Installation(servers))
        first = "connections" if idle.connections > 1 else min(rates, key=rates.__getitem__)
        shown = [f"{rate:,.0f}" for rate in rates.values()]
        rows.append([_count(servers), *shown, f"{servers * CONNECTIONS}", _ANSWERS[first]])
    yield from _table(head, *rows)


def _count(servers: int) -> str:
    return f"{servers} server{'s' * (servers > 1)}"


def _disk(costs: Costs) -> Iterator[str]:
    head = (
        "runs of history",
        "disk, GB",
        "pages of a search by id",
        "runs an hour, kept for 30 days",
        "their WAL, GB a day",
    )
    rows = []
    for runs in _RUNS:
        rate = runs / KEPT_HOURS
        wal = predict(costs, Installation(1, rate)).wal_bytes * _DAY_SECONDS
        rows.append([f"{runs:,}", *map(_number, (runs * costs.bytes_a_run / _GB, levels(runs), rate, wal / _GB))])
    yield from _table(head, *rows)


def _number(value: float) -> str:
    if abs(value) >= 100 or float(value).is_integer():  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"  # noqa: PLR2004


_BLOCKS: dict[str, Callable[[Costs], Iterator[str]]] = {
    "costs": _costs,
    "bytes": _bytes,
    "checks": _checks,
    "workers": _workers,
    "history": _history,
    "predictions": _predictions,
    "walls": _walls,
    "disk": _disk,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--servers", default=1, show_default=True)
@click.option("--runs-an-hour", default=1_000.0, show_default=True)
@click.option("--history", default=10_000.0, show_default=True, help="Runs that are kept.")
@click.option("--pages", default=20, show_default=True, help="Open pages.")
@click.option("--database-cores", default=8, show_default=True)
@click.option(
    "--results", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, help="Folder of the results."
)
def main(*, results: Path, **installation: float) -> None:
    """Predict one installation."""
    found = predict(read_costs(results), msgspec.convert(installation, Installation))
    for name, value in msgspec.structs.asdict(found).items():
        click.echo(f"{name}: {'not held' if value is None else _number(value)}")
    click.echo(f"first wall: {found.first_wall}")


if __name__ == "__main__":
    main(prog_name="python -m scripts.measuring.capacity.tables")
