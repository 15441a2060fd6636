"""``dagbook validate``: problems of definitions, found without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import click

from dagbook.cli.definitions import is_stored, read_definition
from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.runs.dry_run.param_check import check_params
from dagbook.runs.evaluation.inputs import RunLocation
from dagbook.runs.server_context import HostEnvironment
from dagbook.spec.model import Definition
from dagbook.spec.problem import Problem
from dagbook.spec.reading.load import NO_DOCUMENT, load

_NO_COMMAND_SECONDS = 10.0  # required limit of commands and requests; validation starts none


@click.command(cls=GlobalOptions)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|NAME...")
@settings_options("database_url", "work_dir")
def validate(files: tuple[Path, ...]) -> int:
    """Check the definition in each FILE, or of each stored DAG NAME, and print every problem; exit status 1 if any."""
    return max(_validate(file) for file in files)


def _validate(file: Path) -> int:
    try:
        text, name = read_definition(file, "validate")
    except click.ClickException as error:
        click.echo(error.message, err=True)  # and continue with the others
        return 1
    loaded = load(text, name=name)
    problems = [*loaded.problems, *_check_params(loaded.definition, file)]
    complain(file, problems)
    if loaded.empty:
        click.echo(f"{file}: {NO_DOCUMENT}", err=True)
        return 1
    for warning in loaded.definition.warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    if not problems:
        click.echo(f"{file}: valid")
    return 1 if problems else 0


def _check_params(definition: Definition, file: Path) -> list[Problem]:
    """Check params against the schemas that they refer to."""
    location = RunLocation(
        source_directory=None if is_stored(file) else str(file.resolve().parent),
        work_dir=current_settings().work_dir,
        machine=HostEnvironment.current("", "utf-8"),
        limit_seconds=_NO_COMMAND_SECONDS,
    )
    return asyncio.run(check_params(definition, location))


def complain(file: Path, problems: Iterable[Problem]) -> None:
    """Print problems, one line each."""
    for problem in problems:
        location = f"{file}:{problem.line}:{problem.column}" if problem.line else str(file)
        parts = (problem.dag, problem.path, problem.message)
        click.echo(f"{location}: {': '.join(part for part in parts if part)}", err=True)
