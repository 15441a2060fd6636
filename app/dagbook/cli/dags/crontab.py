"""``dagbook import --crontab``: the lines of a crontab as definitions."""

from __future__ import annotations

from pathlib import Path

import click

from dagbook.cli.dags.files import STDIN, UnreadableFileError, read_file, write_file
from dagbook.cli.output import count_of, echo, echo_output, notice, print_json, wants_json
from dagbook.identifiers import shorten
from dagbook.transfer.crontab import Crontab, LeftOut, read_crontab

_SYSTEM_FILE, _SYSTEM_FOLDER = Path("/etc/crontab"), Path("/etc/cron.d")


def import_crontab(file: Path, *, is_system: bool, output: Path | None) -> int:
    """Print a definition for each command of a crontab, or write them into a folder; returns the exit status.

    Lines that were left out are printed on stderr. Raises ClickException if the file is unreadable.
    """
    shown = "stdin" if file == STDIN else str(file)
    place = file.absolute()
    try:
        text = read_file(file)
        found = read_crontab(text, is_system=is_system or place == _SYSTEM_FILE or place.parent == _SYSTEM_FOLDER)
    except (UnreadableFileError, ValueError) as error:
        raise click.ClickException(f"{shown}: {error}") from error
    left_out = [*found.left_out, *(() if output is None else _write(found, output))]
    if wants_json():
        print_json({"dags": found.dags, "leftOut": left_out})
    elif output is None:
        echo_output("---\n".join(dag.spec for dag in found.dags), nl=False)
    for line in left_out:
        echo(f"{shown}:{line.line}: {line.reason}: {shorten(line.text)}", err=True)
    if not wants_json():
        _summarize(found, left_out, output)
    return 1 if left_out else 0


def _write(found: Crontab, folder: Path) -> list[LeftOut]:
    """Write a file for each definition; returns those whose file is there already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}") from error
    kept: list[LeftOut] = []
    for dag in found.dags:
        file = folder / f"{dag.name}.yaml"
        if file.exists():
            reason = f"{file} exists already; move it away, or name another folder"
            kept.append(LeftOut(line=dag.line, text=dag.name, reason=reason))
        else:
            write_file(file, dag.spec)
    return kept


def _summarize(found: Crontab, left_out: list[LeftOut], output: Path | None) -> None:
    counts = f"{count_of(len(found.dags), 'DAG')}, {count_of(len(left_out), 'line')} left out"
    if output is not None:
        echo(f"{counts}; the files are in {output}", err=True)
    elif len(found.dags) > 1:
        notice(f"{counts}; each document is a DAG of its own, and --output DIR writes a file for each")
    else:
        notice(counts)
