"""DAG name of a command's argument: a file, a DAG name, or the name that a DAG is stored under."""

from __future__ import annotations

from pathlib import Path

import click

from dagbook.cli.client import Api, body_of, runs_path
from dagbook.cli.definitions import read_text
from dagbook.identifiers import strip_suffix
from dagbook.spec.reading.load import load


def read_name(what: str) -> str:
    """Return the DAG name in a file, or the argument itself if it is a name; raises ClickException otherwise.

    Without a YAML extension or a folder the argument is a DAG name: ``stop etl`` means the DAG, even if there is a
    program called ``etl`` in the current folder.
    """
    file = Path(what)
    if ("/" in what or strip_suffix(what) != what) and file.is_file():
        loaded = load(read_text(file), name=file.stem, metadata_only=True)
        if loaded.problems:
            hint = "give the name of the DAG instead of its file, or correct the file"
            raise click.ClickException("\n".join([*(f"{file}: {problem}" for problem in loaded.problems), hint]))
        return loaded.definition.dag.name
    if "/" in what:
        raise click.ClickException(f"there is no file {what!r}, and no DAG can have that name")
    runs_path(what)
    return what


async def find_name(api: Api, name: str) -> str:
    """Return the name itself if runs have it, else the DAG name of the DAG stored under it."""
    if body_of(await api.client.get(runs_path(name), params={"fromDate": 0, "limit": 1}))["dagRuns"]:
        return name
    answer = await api.client.get(f"/dags/{name}")
    return str(answer.json().get("dag", {}).get("name", name)) if answer.is_success else name
