"""``dagbook check``: everything that is wrong in a folder of definition files, for CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from dagbook.cli.commands import LocalOptions
from dagbook.cli.dags.check_reports import FORMATS, Checked
from dagbook.cli.dags.files import UnreadableFileError, read_file, write_file
from dagbook.cli.output import echo, echo_output
from dagbook.spec.folder import SUFFIXES, FolderCheck
from dagbook.spec.problem import Problem

_MANY_FILES = 200  # are checked in a second or two; more show their progress


@click.command(cls=LocalOptions, example="dagbook check dags --base base.yaml --format sarif -o dagbook.sarif")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--base", type=click.Path(path_type=Path), metavar="FILE", help="Base configuration of the definitions.")
@click.option(
    "--format", "kind", type=click.Choice(list(FORMATS)), default="text", show_default=True, help="Form of the report."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT", help="File for the report.")
@click.option("--strict", is_flag=True, help="Fail for warnings, too.")
def check(*, folder: Path, base: Path | None, kind: str, output: Path | None, strict: bool) -> int:
    """Check all definition files below DIR, and the calls between them; exit status 1 if anything is wrong.

    These are *.yaml and *.yml, except hidden ones and those in hidden folders. The name of a DAG is the path of its
    file in DIR without extension, with dots for slashes. No server and no database is needed.
    """
    if not folder.is_dir():
        raise click.ClickException(f"{folder}: {'is no folder' if folder.exists() else 'there is no such folder'}")
    try:
        base_text = read_file(base) if base else ""
    except UnreadableFileError as error:
        raise click.ClickException(f"{base}: {error}") from error
    files, faults = _find_files(folder)
    files = [file for file in files if base is None or not file.exists() or not file.samefile(base)]
    if not files and not faults:
        raise click.ClickException(f"{folder}: there is no *.yaml or *.yml file in this folder")
    # pathlib's is_file raises errors for names that are too long, and its expanduser for unknown users.
    folder_check = FolderCheck(
        base=base_text,
        exists=lambda path: os.path.isfile(os.path.join(folder, os.path.expanduser(path))),  # noqa: PTH111, PTH113, PTH118
    )
    for path, fault in faults.items():
        folder_check.report_problem(path, Problem("", fault), "file")
    _check_files(folder_check, folder, files)
    paths = [file.relative_to(folder).as_posix() for file in files]
    checked = Checked(folder, base, paths, folder_check.finish(), strict)
    if output is not None:
        write_file(output, FORMATS[kind](checked))
    elif report := FORMATS[kind](checked):
        echo_output(report, nl=False)
    echo(checked.summary, err=kind != "text" and output is None)
    return 1 if checked.has_failed else 0


def _find_files(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Find the files in order, and why folders cannot be read. Links to folders are followed, each folder once."""
    faults: dict[str, str] = {}

    def add_fault(error: OSError) -> None:
        faults[Path(error.filename).relative_to(folder).as_posix()] = error.strerror or str(error)

    found: list[Path] = []
    visited: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=add_fault):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in names if name.endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found), faults


def _check_files(folder_check: FolderCheck, folder: Path, files: Iterable[Path]) -> None:
    """Check each file; many of them show their progress on a terminal."""
    files = list(files)
    is_hidden = len(files) <= _MANY_FILES or not sys.stderr.isatty()
    with click.progressbar(files, label="Checking", file=sys.stderr, hidden=is_hidden) as progress:
        for file in progress:
            path = file.relative_to(folder).as_posix()
            text: str | None = None
            fault = ""
            try:
                text = read_file(file)
            except UnreadableFileError as error:
                fault = str(error)
            definition = folder_check.add(path, text, fault)
            if definition and any(dag.params_schema for dag in (definition.dag, *definition.local_dags)):
                from dagbook.cli.dags.validate import check_schemas  # noqa: PLC0415 - takes longer than most folders

                for problem in check_schemas(definition, file.resolve().parent):
                    folder_check.report_problem(path, problem)
