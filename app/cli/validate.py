"""``dagbook validate``: everything that is wrong with definitions, without a server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from app.cli.options import GlobalOptions
from app.spec.load import NO_DOCUMENT, load
from app.spec.problem import Problem


@click.command(cls=GlobalOptions)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
def validate(files: tuple[Path, ...]) -> int:
    """Print every problem of the definitions in FILE, one line each; exit status 1 when there is any."""
    return max(_validate(file) for file in files)


def _validate(file: Path) -> int:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        click.echo(f"{file}: {reason}", err=True)
        return 1
    loaded = load(text, name=file.stem)
    complain(file, loaded.problems)
    if loaded.empty:
        click.echo(f"{file}: {NO_DOCUMENT}", err=True)
        return 1
    for warning in loaded.definition.warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    if not loaded.problems:
        click.echo(f"{file}: valid")
    return 1 if loaded.problems else 0


def complain(file: Path, problems: Iterable[Problem]) -> None:
    """Print problems, one line each."""
    for problem in problems:
        place = f"{file}:{problem.line}:{problem.column}" if problem.line else str(file)
        parts = (problem.dag, problem.path, problem.message)
        click.echo(f"{place}: {': '.join(part for part in parts if part)}", err=True)
