"""Benchmarks: a harness outside of this repository measures servers as a client of the REST API.

    python -m scripts.measuring.figures.benches SCENARIO --result FILE     one round of a scenario

The harness is the folder that the variable DAGBOOK_BENCH names, with a ``bench.py`` that starts targets and writes a
JSON file for each; DAGBOOK_BENCH_PYTHON is the Python that has its packages, by default this one. The servers measured
are this checkout on SQLite and on PostgreSQL with fsync, and, if DAGU_BIN names its program, the reference
implementation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from dagbook.unix.signals import give_children_default_signals
from scripts.measuring.figures import facts, results
from scripts.measuring.figures.plan import ENGINES, REFERENCE
from tests.process import store
from tests.process.postgres import Cluster
from tests.process.program import ROOT

_REFERENCE_TARGET = "targets/dagu.toml"
_FIRST_PORT = 19_470


def _target(engine: str, url: str) -> str:
    """Return the description of this checkout as a target of the harness; JSON strings are strings of TOML."""
    serve = [sys.executable, "-m", "dagbook", "serve", "--host", "127.0.0.1", "--port", "${PORT}"]
    lines = {
        "name": engine,
        "base_url": "http://127.0.0.1:${PORT}/api/v2",
        "command": serve,
        "seeder": "command",
        "seed_command": [sys.executable, str(ROOT / "scripts" / "measuring" / "seed_history.py"), "{file}"],
    }
    env = {"DAGBOOK_HOME": "${HOME_DIR}", "PYTHONPATH": f"{ROOT / 'app'}:{ROOT}"}
    if url:
        env["DAGBOOK_DATABASE_URL"] = url
    head = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    return f"{head}\n[env]\n" + "\n".join(f"{name} = {json.dumps(value)}" for name, value in env.items()) + "\n"


def read_harness(folder: Path, names: Mapping[str, str]) -> tuple[dict[str, list[float]], list[str]]:
    """Read what the harness wrote: values as ``target: metric``, and a sentence for each scenario that failed.

    ``names`` has our name of each target by that of its file.
    """
    samples: dict[str, list[float]] = {}
    failures = []
    for file, name in names.items():
        path = folder / f"{file}.json"
        if not path.exists():
            failures.append(f"{name}: the harness has written no result")
            continue
        (entry,) = json.loads(path.read_bytes())["rounds"]
        failures += [f"{name}: {scenario} failed: {error}" for scenario, error in sorted(entry["errors"].items())]
        for metrics in entry["scenarios"].values():
            samples |= {f"{name}: {metric}": [round(value, 3)] for metric, value in metrics.items()}
    return samples, failures


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenario")
@click.option("--quick", is_flag=True, help="Small sizes: shows that it works.")
@click.option("--set", "sizes", multiple=True, metavar="NAME=N", help="Another size of the scenario.")
@click.option("--without-reference", is_flag=True, help="Measure this checkout only.")
@click.option("--round", "number", type=click.IntRange(1), default=1, help="Every other round has the other order.")
@click.option("--result", type=click.Path(dir_okay=False, path_type=Path), required=True)
def bench(
    scenario: str, number: int, result: Path, *, quick: bool, sizes: Sequence[str], without_reference: bool
) -> None:
    """Measure one round of a scenario of the harness in DAGBOOK_BENCH."""
    harness = Path(os.environ.get("DAGBOOK_BENCH", ""))
    if not (harness / "bench.py").is_file():
        raise click.UsageError("DAGBOOK_BENCH has to name the folder of the harness, which has a bench.py")
    load, commit, begin = facts.load(), facts.read_commit(), time.monotonic()
    options = [*(["--quick"] if quick else []), *(word for size in sizes for word in ("--set", size))]
    with tempfile.TemporaryDirectory(prefix="dagbook-bench-") as name:
        folder = Path(name)
        cluster = Cluster(durable=True)
        try:
            database, fsync = facts.read_database(cluster.url, folder)
            lite, synchronous = facts.read_database("", folder)
            targets = {engine: folder / f"{engine}.toml" for engine in ENGINES}
            for engine, path in targets.items():
                path.write_text(_target(engine, store.make_database(cluster.url) if engine == "postgresql" else ""))
            names = {engine: engine for engine in targets}
            if os.environ.get("DAGU_BIN") and not without_reference:
                targets[REFERENCE] = harness / _REFERENCE_TARGET
                names[_read_name(harness / _REFERENCE_TARGET)] = REFERENCE
            order = list(targets.values())[:: 1 if number % 2 else -1]
            words = [word for path in order for word in ("--target", str(path))]
            python = os.environ.get("DAGBOOK_BENCH_PYTHON", sys.executable)
            command = [python, "bench.py", *words, "--only", scenario, "--port", str(_FIRST_PORT), *options]
            subprocess.run([*command, "--results", str(folder)], cwd=harness, check=False)
            samples, failures = read_harness(folder, names)
        finally:
            cluster.remove()
    found = results.Result(
        promise="performance",
        experiment=scenario,
        program=_versions(names),
        engine="",
        fsync=f"{synchronous}; {fsync}",
        **commit._asdict(),
        date=facts.now(),
        seconds=round(time.monotonic() - begin, 1),
        machine=facts.describe_machine(f"{lite}, {database}", load),
        command=facts.describe_command("python -m scripts.measuring.figures.benches", sys.argv[1:], None),
        samples=samples,
        violation_count=len(failures),
        violations=results.shorten(failures, [str(folder), str(harness)]),
    )
    results.write(result, found)
    for sentence in failures:
        click.echo(sentence)
    sys.exit(1 if failures else 0)


def _read_name(target: Path) -> str:
    return str(tomllib.loads(target.read_text())["name"])


def _versions(names: Mapping[str, str]) -> str:
    """Return what was measured: the reference implementation by the name of its target, which has its version."""
    return ", ".join(["dagbook", *(file for file, name in names.items() if name == REFERENCE)])


if __name__ == "__main__":
    give_children_default_signals()
    bench(prog_name="python -m scripts.measuring.figures.benches")
