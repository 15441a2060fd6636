"""Definitions and DAG names for commands: from a file or a stored DAG."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import httpx

from dagbook.cli.client import Api, body_of, path_of, run_path, runs_path
from dagbook.cli.options import current_settings, notice
from dagbook.cli.servers import chosen_server
from dagbook.identifiers import LATEST, is_name, shorten, strip_suffix

if TYPE_CHECKING:
    from dagbook.spec.model import Dag

_MOST_SHOWN, _PER_PAGE = 5, 1_000


def read_text(file: Path, missing: str | None = None) -> str:
    """Return the text of a file, ``missing`` if there is no such file; raises ClickException if it is unreadable."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if missing is None:
            raise click.ClickException(f"{file}: {error.strerror}") from error
        return missing
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise click.ClickException(f"{file}: {reason}") from error


def is_stored(file: Path) -> bool:
    """Whether an argument names a stored DAG: a valid DAG name, and no file of that name exists."""
    return is_name(strip_suffix(str(file))) and not os.path.exists(file)  # noqa: PTH110 - pathlib's raises errors


def read_definition(file: Path, command: str) -> tuple[str, str]:
    """Return the text of a file or of a stored DAG, and the DAG's name when the text gives none.

    Raises ClickException when there is neither.
    """
    return (_read_stored(file, command), strip_suffix(str(file))) if is_stored(file) else (read_text(file), file.stem)


def _read_stored(name: Path, command: str) -> str:
    # These imports take a second, which commands with a file are spared.
    from dagbook.cli.client import Mode, body_of, open_api  # noqa: PLC0415
    from dagbook.cli.failures import friendly_errors  # noqa: PLC0415
    from dagbook.db.url import sqlite_path  # noqa: PLC0415

    settings = current_settings()
    missing = click.ClickException(f"there is no file and no stored DAG named {str(name)!r}")
    database = sqlite_path(settings.database_url)
    if chosen_server() is None and database is not None and not database.exists():
        raise missing

    async def read() -> str:
        async with open_api(settings, command, Mode.READ) as api:
            answer = await api.client.get(f"/dags/{strip_suffix(str(name))}/spec")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                raise missing
            return str(body_of(answer)["spec"])

    return friendly_errors(lambda: asyncio.run(read()))()


def read_name(what: str) -> str:
    """Return the DAG name in a file, or the argument itself if it is a name; raises ClickException otherwise.

    Without a YAML extension or a folder the argument is a DAG name: ``stop etl`` means the DAG, even if there is a
    program called ``etl`` in the current folder.
    """
    file = Path(what)
    if ("/" in what or strip_suffix(what) != what) and file.is_file():
        from dagbook.spec.reading.load import load  # noqa: PLC0415 - takes longer than most commands

        loaded = load(read_text(file), name=file.stem, metadata_only=True)
        if loaded.problems:
            hint = "give the name of the DAG instead of its file, or correct the file"
            raise click.ClickException("\n".join([*(f"{file}: {problem}" for problem in loaded.problems), hint]))
        return loaded.definition.dag.name
    if "/" in what:
        raise click.ClickException(f"there is no file {what!r}, and no DAG can have that name")
    runs_path(what)
    return what


def notice_undeclared(dag: Dag, params: str, inherited: Collection[str] = ()) -> None:
    """Print a notice for each named param that a DAG does not declare; a schema may declare more, and is not read."""
    # Not above: it brings the library for JSON Schema, which most commands never need.
    from dagbook.spec.params.given import GivenParams  # noqa: PLC0415

    declared = {name.casefold(): name for name in (*(pair.name for pair in dag.params), *inherited)}
    for pair in () if dag.params_schema else GivenParams(params).read():
        if pair.name.isdigit() or pair.name in declared.values():
            continue
        near = get_close_matches(pair.name.casefold(), declared, n=1)
        known = ", ".join(list(declared.values())[:_MOST_SHOWN]) or "none"
        hint = f"did you mean {declared[near[0]]}?" if near else f"it declares {known}"
        notice(f"{dag.name} has no parameter {shorten(pair.name)[1:-1]}; {hint}")


async def find_name(api: Api, name: str) -> str:
    """Return the name itself if runs have it, else the DAG name of the DAG stored under it."""
    if body_of(await api.client.get(runs_path(name), params={"fromDate": 0, "limit": 1}))["dagRuns"]:
        return name
    answer = await api.client.get(f"/dags/{name}")
    return str(answer.json().get("dag", {}).get("name", name)) if answer.is_success else name


async def get_run(api: Api, name: str, run_id: str) -> httpx.Response:
    """Request a run of a DAG by its id, by the beginning of one, or by ``latest``, which no id is; the newest without.

    A sub-run of the DAG if that has the id. Raises ClickException if several runs have ids with this beginning.
    """
    answer = await api.client.get(run_path(name, run_id or LATEST))
    if run_id in ("", LATEST) or answer.status_code != HTTPStatus.NOT_FOUND:
        return answer
    found = await _find_beginning(api, name, run_id)
    same = [run for run in found if run["dagRunId"] == run_id]
    if len(same or found) > 1:
        shown = ", ".join(run["dagRunId"] for run in found[:_MOST_SHOWN]) + (" …" if len(found) > _MOST_SHOWN else "")
        raise click.ClickException(f"several runs of DAG {name!r} have ids that begin with {run_id!r}: {shown}")
    return await api.client.get(path_of((same or found)[0])) if found else answer


async def _find_beginning(api: Api, name: str, beginning: str) -> list[dict[str, Any]]:
    """Return runs and sub-runs of a DAG whose ids have a beginning, the newest first, a few more than are shown."""
    query: dict[str, Any] = {"fromDate": 0, "subRuns": "include", "dagRunId": beginning, "limit": _PER_PAGE}
    found: list[dict[str, Any]] = []
    while len(found) <= _MOST_SHOWN:
        answer = await api.client.get(runs_path(name), params=query)
        page = answer.json() if answer.is_success else {"dagRuns": []}
        found += [run for run in page["dagRuns"] if run["dagRunId"].startswith(beginning)]
        if "nextCursor" not in page:
            break
        query["cursor"] = page["nextCursor"]
    return found


async def read_events(api: Api, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all events of a run."""
    events: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = body_of(await api.client.get(f"{path_of(run)}/events", params={"after": after, "limit": _PER_PAGE}))
        events += page["events"]
        after = page.get("next")
    return events


async def find_run_id(api: Api, name: str, run_id: str) -> str:
    """Return the whole id of a run, which changes need; raises ClickException."""
    run = body_of(await get_run(api, name, run_id))["dagRunDetails"]
    return str(run["dagRunId"])


async def find_run(api: Api, what: str, run_id: str) -> dict[str, Any]:
    """Return the details of a run or sub-run of a DAG, of its newest run without an id; raises ClickException."""
    name = await find_name(api, what)
    answer = await get_run(api, name, run_id)
    if not run_id and answer.status_code == HTTPStatus.NOT_FOUND:
        raise click.ClickException(f"DAG {name!r} has no run")
    run: dict[str, Any] = body_of(answer)["dagRunDetails"]
    return run
