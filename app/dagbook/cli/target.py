"""The names of DAGs whose runs a command is about: given by a file, as they are, or as the DAG is stored."""

from __future__ import annotations

from pathlib import Path

import click

from dagbook.cli.client import Api, body_of, runs_path
from dagbook.cli.definitions import read_text
from dagbook.identifiers import strip_suffix
from dagbook.spec.reading.load import load


def read_name(what: str) -> str:
    """Return the DAG name of a file, or the word itself, which is a name; what is neither ends the command.

    A file without the extension of YAML or a folder in front is none here: ``stop etl`` means the DAG, also where a
    program called ``etl`` lies.
    """
    file = Path(what)
    if ("/" in what or strip_suffix(what) != what) and file.is_file():
        return _name_in(file)
    if "/" in what:
        raise click.ClickException(f"there is no file {what!r}, and no DAG can have that name")
    runs_path(what)
    return what


def _name_in(file: Path) -> str:
    loaded = load(read_text(file), name=file.stem, metadata_only=True)
    if loaded.problems:
        hint = "give the name of the DAG instead of its file, or correct this"
        raise click.ClickException("\n".join([*(f"{file}: {problem}" for problem in loaded.problems), hint]))
    return loaded.definition.dag.name


async def find_name(api: Api, name: str) -> str:
    """Return the name of the runs that are meant: if there is none, that of the DAG that is stored under the name."""
    if body_of(await api.client.get(runs_path(name), params={"fromDate": 0, "limit": 1}))["dagRuns"]:
        return name
    answer = await api.client.get(f"/dags/{name}")
    return str(answer.json().get("dag", {}).get("name", name)) if answer.is_success else name
