"""Measurements by clients of one server on SQLite: requests at a steady rate, and the result of a round."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from scripts.measuring.figures import facts, results
from tests.process.program import ROOT
from tests.process.server import Server

_SHARES = {"p50_ms": 0.5, "p95_ms": 0.95, "max_ms": 1.0}
Measure = Callable[[Server], tuple[dict[str, list[float]], list[str]]]


def pace(count: int, rate: float, send: Callable[[int], None], threads: int) -> list[float]:
    """Call ``send`` with each number, so many in a second; returns how late each call has returned, in ms."""
    begin = time.monotonic() + 0.1

    def call(number: int) -> float:
        due = begin + number / rate
        time.sleep(max(due - time.monotonic(), 0))
        send(number)
        return (time.monotonic() - due) * 1000

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, range(count)))


def measuring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a measurement that ``scripts/figures`` runs."""
    for option in (
        click.option("--result", type=click.Path(dir_okay=False, path_type=Path), required=True),
        click.option("--round", "number", type=click.IntRange(1), default=1, help="The number of this part."),
        click.option("--quick", is_flag=True, help="Short: shows that it works."),
    ):
        command = option(command)
    return command


def measure_on_sqlite(names: tuple[str, str, str], result: Path, measure: Measure, *, schedules: bool = True) -> None:
    """Measure a server of its own, and end the process; 1 is the status after a failure.

    ``names`` are those of the samples, of the scenario and of the module; ``measure`` returns times in ms by what was
    measured, and a sentence for each failure.
    """
    name, scenario, module = names
    load, commit, begin = facts.load(), facts.read_commit(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dagbook-measured-") as directory:
        folder = Path(directory)
        database, fsync = facts.read_database("", folder)
        server = Server(folder / "home", settings={"request_log": "off"}, schedules=schedules)
        try:
            found, failures = measure(server.start())
        finally:
            server.clear()
    samples = {
        f"sqlite: {name}.{metric}.{share}": [round(results.quantile(sorted(values), part), 1)]
        for metric, values in found.items()
        for share, part in _SHARES.items()
    }
    for metric, values in samples.items():
        click.echo(f"  {metric}: {values[0]}")
    written = results.Result(
        promise="performance",
        experiment=scenario,
        engine="",
        fsync=fsync,
        **commit._asdict(),
        date=facts.now(),
        seconds=round(time.monotonic() - begin, 1),
        machine=facts.describe_machine(database, load),
        command=facts.describe_command(f"python -m {module}", sys.argv[1:], None),
        samples=samples,
        violation_count=len(failures),
        violations=results.shorten(failures, [str(folder), str(ROOT)]),
    )
    results.write(result, written)
    for sentence in written.violations:
        click.echo(sentence)
    sys.exit(1 if written.violations else 0)
