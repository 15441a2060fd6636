"""Tests of every change that are experiments already, repeated, with a result file.

    python -m scripts.measuring.figures.repeated R9 --rounds 10 --result FILE tests/process/test_full_disk.py …

A failed test is a violation, and so is one that was skipped: it has shown nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import click

from dagbook.unix.signals import give_children_default_signals
from scripts.measuring.figures import facts, results
from tests.process.program import ROOT


def read_report(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the outcome and the message of each test in a JUnit report of pytest."""
    for case in ET.parse(path).iter("testcase"):  # noqa: S314 - our own report
        name = f"{case.get('classname')}.{case.get('name')}"
        found = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        if found is None:
            yield name, "passed", ""
        else:
            yield name, "skipped" if found.tag == "skipped" else "failed", found.get("message", "")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("promise")
@click.argument("files", nargs=-1, required=True)
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="How often each test runs.")
@click.option("--round", "_number", type=int, help="The number of this part, which changes nothing.")
@click.option("--result", type=click.Path(dir_okay=False, path_type=Path), required=True)
def repeated(promise: str, files: Sequence[str], rounds: int, _number: int, result: Path) -> None:
    """Run test files several times, and write what became of them."""
    load, commit, begin = facts.load(), facts.read_commit(), time.monotonic()
    outcomes: Counter[str] = Counter()
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dagbook-repeated-") as name:
        database, fsync = facts.read_database("", Path(name))
        report = Path(name) / "report.xml"
        for number in range(1, rounds + 1):
            click.echo(f"  … round {number} of {rounds}", err=True)
            report.unlink(missing_ok=True)
            command = [sys.executable, "-m", "pytest", "-q", "--full", "-p", "no:cacheprovider", *files]
            done = subprocess.run([*command, f"--junitxml={report}"], cwd=ROOT, stdout=subprocess.PIPE, check=False)
            if not report.exists():
                found.append(f"round {number}: pytest ended with {done.returncode} and without a report")
                continue
            for test, outcome, message in read_report(report):
                outcomes[f"tests {outcome}"] += 1
                if outcome != "passed":
                    found.append(f"round {number}: {test} {outcome}: {message}")
    for text in (*(f"{name}: {count}" for name, count in sorted(outcomes.items())), *found):
        click.echo(f"  {text}")
    written = results.Result(
        promise=promise,
        experiment="repeated",
        engine="sqlite",
        fsync=fsync,
        **commit._asdict(),
        date=facts.now(),
        seconds=round(time.monotonic() - begin, 1),
        machine=facts.describe_machine(database, load),
        command=facts.describe_command("python -m scripts.measuring.figures.repeated", sys.argv[1:], None),
        counts={"rounds": rounds, **dict(sorted(outcomes.items()))},
        violation_count=len(found),
        violations=results.shorten(found, [tempfile.gettempdir()]),
    )
    results.write(result, written)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    give_children_default_signals()
    repeated(prog_name="python -m scripts.measuring.figures.repeated")
