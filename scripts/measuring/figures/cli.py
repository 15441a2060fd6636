"""``scripts/figures``: what is measured, run and shown."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from dagbook.unix.signals import give_children_default_signals
from scripts.measuring.figures.pages import DOCS, PAGES, read_parts, render
from scripts.measuring.figures.plan import BENCH_PLAN, ENGINES, PLAN, SIZES, Part, Planned, select
from scripts.measuring.figures.results import FOLDER, add, read
from tests.process.program import ROOT

_IDS = click.argument("ids", metavar="[ID]…", nargs=-1)
_RESULTS = click.option(
    "--results", type=click.Path(file_okay=False, path_type=Path), help="Folder of the results. Default: figures."
)
_DATABASE = click.option("--database", type=click.Choice(ENGINES), help="Only on this engine.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def figures() -> None:
    """Measure what docs/explanation/testing.md, performance.md and capacity.md show, and make these pages.

    Each experiment is a command of scripts/chaos that is run in parts, and each part adds a result to its file in
    figures/. 'run' runs only parts without a result: it can be interrupted and started again.

    \b
    scripts/figures list                          what has been measured, what is missing
    scripts/figures run R1 --database sqlite      run the missing parts of one experiment
    scripts/figures run --size smoke              run every experiment in a small size, without keeping the results
    scripts/figures run curve mixed               run benchmarks, see docs/explanation/performance.md
    scripts/figures pages                         make the pages; --check: fail when one is out of date
    """  # noqa: D301 - the character by which click keeps lines


@figures.command("list")
@_IDS
@_DATABASE
@_RESULTS
def list_(ids: Sequence[str], database: str | None, results: Path | None) -> None:
    """List what the plan has, and what has been measured of it."""
    folder = results or FOLDER
    for planned in _select(ids or [one.id for one in (*PLAN, *BENCH_PLAN)], database):
        merged = read_parts(planned, folder)
        found = f"{merged.violation_count} violations" if merged.parts else ""
        done = f"{len(merged.parts)} of {planned.full.parts} parts"
        click.echo(f"{planned.name:18} {planned.command:14} {done:16} {found}".rstrip())


@figures.command()
@_IDS
@_DATABASE
@click.option("--size", type=click.Choice(SIZES), default="full", show_default=True)
@click.option("--parts", type=click.IntRange(1), metavar="N", help="Run at most N parts.")
@_RESULTS
def run(ids: Sequence[str], database: str | None, size: str, parts: int | None, results: Path | None) -> None:
    """Run the parts that have no result: the first part of each experiment, then the second of each, and so on.

    Results of the small size are written to a temporary folder, unless there is --results. The exit status is 1 when a
    part has a violation or could not run. Such a part with a result is not run again: the page shows it.
    """
    # Breadth first: when it is interrupted, something is known about everything.
    planned = [part for one in _select(ids, database) for part in one.parts(size)]
    missing = sorted(planned, key=lambda part: part.number)
    if size == "full" or results:
        folder = results or FOLDER
        sys.exit(_run_all([part for part in missing if part.number not in read(part.path(folder))][:parts], folder))
    temporary = Path(tempfile.mkdtemp(prefix="dagbook-figures-"))
    try:
        sys.exit(_run_all(missing[:parts], temporary))
    finally:
        shutil.rmtree(temporary)


def _select(ids: Sequence[str], database: str | None) -> list[Planned]:
    try:
        return select(ids, database)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from error


def _run_all(parts: Iterable[Part], folder: Path) -> int:
    """Run parts one after the other; returns the exit status."""
    failed = [part for part in parts if not _run(part, folder)]
    for part in failed:
        click.echo(f"failed: {part.planned.name}, part {part.number}")
    return 1 if failed else 0


def _run(part: Part, folder: Path) -> bool:
    click.echo(f"{part.planned.name}, part {part.number} of {part.planned.size(part.size).parts}")
    with tempfile.TemporaryDirectory(prefix="dagbook-figures-") as temporary:
        file = Path(temporary) / "result.json"
        command = [sys.executable, "-m", part.planned.module, *part.words, "--result", str(file)]
        done = subprocess.run(command, cwd=ROOT, check=False)
        for result in read(file).values():
            add(part.path(folder), part.number, result)
    return done.returncode == 0


@figures.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a page is out of date.")
@_RESULTS
def pages(*, check: bool, results: Path | None) -> None:
    """Make the pages of the results and of the templates in scripts/measuring/figures/templates."""
    stale = []
    for name in PAGES:
        page, text = DOCS / name, render(name, results or FOLDER)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                page.parent.mkdir(exist_ok=True)
                page.write_text(text, encoding="utf-8")
    for name in stale:
        click.echo(f"docs/explanation/{name} {'is out of date: scripts/figures pages' if check else 'is written'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    give_children_default_signals()
    figures(prog_name="scripts/figures")
