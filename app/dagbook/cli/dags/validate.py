"""``dagbook validate`` and ``dagbook dry``: the problems of definitions, and what a run would do, without a server."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec

from dagbook.api.schemas.runs import DAGRunAnswer, RunOutputs
from dagbook.cli.api import Api, run_path, use_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.dags.files import complain, is_stored, read_definition, read_text
from dagbook.cli.dags.params import notice_undeclared, params_text
from dagbook.cli.output import echo, echo_styled, print_json, style, wants_json
from dagbook.cli.settings import current_settings, with_settings
from dagbook.errors import AppError
from dagbook.identifiers import LAST_SUCCESS
from dagbook.runs.dry_run.plan import DryRun, plan_runs
from dagbook.runs.dry_run.step import Fact, StepPreview
from dagbook.runs.evaluation.last_success import NEVER, variables
from dagbook.runs.evaluation.param_checks import check_params
from dagbook.runs.evaluation.placeholders import Placeholders
from dagbook.runs.model import RunLocation
from dagbook.runs.server_context import HostEnvironment
from dagbook.spec.model import Definition, Pair
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.problem import Problem
from dagbook.spec.reading.load import NO_DOCUMENT, load
from dagbook.spec.shell_references import find_warnings
from dagbook.telemetry.printable import printable

_WIDTH = 80
_LABEL = 16


@click.command(cls=GlobalOptions, example="dagbook validate etl.yaml load.yaml")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE|NAME...")
@with_settings("database_url", "work_dir")
def validate(files: tuple[Path, ...]) -> int:
    """Check the definition in each FILE, or of each stored DAG NAME, and print every problem; exit status 1 if any."""
    return max(_validate(file) for file in files)


def _validate(file: Path) -> int:
    try:
        text, name = read_definition(file)
    except click.ClickException as error:
        if wants_json():
            print_json({"file": str(file), "valid": False, "problems": [{"message": error.message}], "warnings": []})
        else:
            echo(error.message, err=True)  # and continue with the others
        return 1
    loaded = load(text, name=name)
    problems = [*loaded.problems, *check_schemas(loaded.definition, _directory_of(file))]
    problems += [Problem("", NO_DOCUMENT)] if loaded.empty else []
    warnings = [*loaded.definition.warnings, *find_warnings(loaded.definition)]
    if wants_json():
        found = {"valid": not problems, "problems": problems, "warnings": warnings}
        print_json({"file": str(file), **found})
        return 1 if problems else 0
    complain(file, problems)
    for warning in warnings:
        echo(f"{file}: warning: {warning}", err=True)
    if not problems:
        echo(f"{file}: valid")
    return 1 if problems else 0


def check_schemas(definition: Definition, source_directory: Path | None) -> list[Problem]:
    """Check params against the schemas that they refer to."""
    return asyncio.run(check_params(definition, _location(source_directory), GivenParams()))


@click.command(cls=GlobalOptions, example="dagbook dry etl.yaml -- DATE=2030-01-31")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE|NAME")
@click.argument("words", nargs=-1, metavar="[-- PARAMS]")
@click.option("-p", "--params", default="", help="Parameters, as NAME=value words or JSON.")
@click.option("-N", "--name", default="", help="Name of the DAG, when the file does not give one.")
@with_settings("database_url", "work_dir", "default_shell", "base_config")
def dry(*, file: Path, words: tuple[str, ...], params: str, name: str) -> int:
    """Show what a run of FILE, or of the stored DAG NAME, would do. Nothing is run, not even commands in backticks.

    Exit status 1 when the definition is invalid or a run of it could not start.
    """
    settings = current_settings()
    text, own_name = read_definition(file)
    base = read_text(settings.base_config, missing="")
    loaded = load(text, name=name or own_name, base=base)
    if loaded.problems:
        complain(file, loaded.problems)
        return 1
    if loaded.empty:
        raise click.ClickException(f"{file}: {NO_DOCUMENT}")
    placeholders, given = Placeholders(), GivenParams(params_text(params, words))
    location, dag = _location(_directory_of(file)), loaded.definition.dag
    if dag.names_last_success:
        location = msgspec.structs.replace(
            location, last_success=use_api(lambda api: _read_last_success(api, dag.name))
        )
    try:
        runs = asyncio.run(plan_runs(loaded.definition, given, location, placeholders))
    except AppError as error:
        raise click.ClickException(placeholders.show(error.message)) from error
    notice_undeclared(loaded.definition.dag, given.text)
    if wants_json():
        print_json({"runs": runs})
        return 0
    preview = "\n\n".join("\n".join(_print_run(run)) for run in runs)
    echo_styled("\n".join((preview, "", *_legend(preview, placeholders))))
    return 0


async def _read_last_success(api: Api, name: str) -> tuple[Pair, ...]:
    path = run_path(name, LAST_SUCCESS)
    answer, outputs = await api.find(path, DAGRunAnswer), await api.find(f"{path}/outputs", RunOutputs)
    if answer is None or outputs is None:
        return NEVER
    run = answer.dag_run_details
    return variables(outputs.outputs, run.started_at, run.dag_run_id)


def _directory_of(file: Path) -> Path | None:
    """Return the directory of a definition; None for a stored one."""
    return None if is_stored(file) else file.resolve().parent


def _location(source_directory: Path | None) -> RunLocation:
    settings = current_settings()
    return RunLocation(
        source_directory=None if source_directory is None else str(source_directory),
        work_dir=settings.work_dir,
        machine=msgspec.structs.replace(HostEnvironment.current(settings), account=""),  # the caller's own
        limit_seconds=settings.evaluation_timeout_seconds,
    )


def _print_run(run: DryRun) -> Iterator[str]:
    yield style(run.title, bold=True)
    yield from _print_facts(run.facts)
    for part in (*run.steps, *run.handlers):
        yield from _print_step(part)
    yield ""
    yield from textwrap.wrap(run.ending, _WIDTH)


def _print_step(part: StepPreview) -> Iterator[str]:
    yield ""
    yield style(part.title, bold=True)
    if part.note:
        yield f"  {style(part.note, fg='yellow')}"
    yield from _print_facts(part.facts)


def _print_facts(facts: Iterable[Fact]) -> Iterator[str]:
    for fact in facts:
        label = f"  {fact.label}"
        for line in _fold(fact.text):
            yield f"{label:{_LABEL}} {line}".rstrip()
            label = ""


def _fold(text: str) -> Iterator[str]:
    """Wrap a text to the width beside its label, keeping indentation."""
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        yield from textwrap.wrap(
            printable(line),
            _WIDTH - _LABEL - 1,
            subsequent_indent=f"{indent}  ",
            break_on_hyphens=False,
            expand_tabs=False,
            replace_whitespace=False,
        ) or [""]


def _legend(preview: str, placeholders: Placeholders) -> Iterator[str]:
    """Explain the placeholders that remain in the preview."""
    if any(text[0] == "`" and placeholders.show(text) in preview for text in placeholders.texts):
        yield "`…` stands for the output of the command in it, which was not run."
    if any(text[0] == "$" and text in preview for text in placeholders.texts):
        yield "Remaining ${…} are known only while the run is running."
    if "$" in preview:
        yield "Remaining $NAME in commands and scripts are expanded by the shell, which sees all variables."
    yield "Nothing was run."
