"""Runs that a command line names: by DAG and id, by the beginning of an id, or the newest; and what they consist of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import click
import httpx
from msgspec import UNSET

from dagbook.api.schemas.run_logs import RunEvent, RunEvents
from dagbook.api.schemas.runs import DAGRunAnswer, DAGRunDetails, DAGRuns, DAGRunSummary, Node
from dagbook.cli.api import Api, Query, decode, path_of, run_path, runs_path
from dagbook.cli.output import format_duration, words
from dagbook.engine.status import NodeStatus
from dagbook.identifiers import LATEST, strip_suffix

_MOST_SHOWN, _PER_PAGE = 5, 1_000
NEVER = frozenset({"", "-"})  # the texts of the API for a time that has not come


def read_name(what: str) -> str:
    """Return the DAG name in a file, or the argument itself if it is a name; raises ClickException otherwise.

    Without a YAML extension or a folder the argument is a DAG name: ``stop etl`` means the DAG, even if there is a
    program called ``etl`` in the current folder.
    """
    file = Path(what)
    if ("/" in what or strip_suffix(what) != what) and file.is_file():
        # These take longer than most commands.
        from dagbook.cli.dags.files import read_text  # noqa: PLC0415
        from dagbook.spec.reading.load import load  # noqa: PLC0415

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
    if (await api.get(runs_path(name), DAGRuns, {"fromDate": 0, "limit": 1})).dag_runs:
        return name
    from dagbook.api.schemas.dags import DAGFileDetails  # noqa: PLC0415 - most runs are named as their DAG

    answer = await api.send("GET", f"/dags/{name}")
    dag = decode(answer, DAGFileDetails).dag if answer.is_success else None
    return dag.name if dag else name


async def find_runs(api: Api, path: str, query: Query, limit: int) -> list[DAGRunSummary]:
    """Read runs page by page; an empty page may be followed by others."""
    found: list[DAGRunSummary] = []
    cursor: dict[str, str] = {}
    while len(found) < limit:
        size = min(limit - len(found), _PER_PAGE)
        page = await api.get(path, DAGRuns, {**query, **cursor, "limit": size})
        found += page.dag_runs
        if not page.next_cursor:
            break
        cursor = {"cursor": page.next_cursor}
    return found


async def get_run(api: Api, name: str, run_id: str) -> httpx.Response:
    """Request a run of a DAG by its id, by the beginning of one, or by ``latest``, which no id is; the newest without.

    A sub-run of the DAG if that has the id. Raises ClickException if several runs have ids with this beginning.
    """
    answer = await api.send("GET", run_path(name, run_id or LATEST))
    if run_id in ("", LATEST) or answer.status_code != HTTPStatus.NOT_FOUND:
        return answer
    found = await _find_beginning(api, name, run_id)
    same = [run for run in found if run.dag_run_id == run_id]
    if len(same or found) > 1:
        shown = ", ".join(run.dag_run_id for run in found[:_MOST_SHOWN]) + (" …" if len(found) > _MOST_SHOWN else "")
        raise click.ClickException(f"several runs of DAG {name!r} have ids that begin with {run_id!r}: {shown}")
    return await api.send("GET", path_of((same or found)[0])) if found else answer


async def _find_beginning(api: Api, name: str, beginning: str) -> list[DAGRunSummary]:
    """Return runs and sub-runs of a DAG whose ids have a beginning, the newest first, a few more than are shown."""
    query: dict[str, str | int] = {"fromDate": 0, "subRuns": "include", "dagRunId": beginning, "limit": _PER_PAGE}
    found: list[DAGRunSummary] = []
    while len(found) <= _MOST_SHOWN:
        answer = await api.send("GET", runs_path(name), query=query)
        if not answer.is_success:
            break
        page = decode(answer, DAGRuns)
        found += [run for run in page.dag_runs if run.dag_run_id.startswith(beginning)]
        if not page.next_cursor:
            break
        query["cursor"] = page.next_cursor
    return found


async def find_details(api: Api, name: str, run_id: str) -> DAGRunDetails:
    """Return the details of a run of a DAG, whose name is that of its runs; raises ClickException."""
    return decode(await get_run(api, name, run_id), DAGRunAnswer).dag_run_details


async def find_run_id(api: Api, name: str, run_id: str) -> str:
    """Return the whole id of a run, which changes need; raises ClickException."""
    return (await find_details(api, name, run_id)).dag_run_id


async def find_run(api: Api, what: str, run_id: str) -> DAGRunDetails:
    """Return the details of a run or sub-run of a DAG, of its newest run without an id; raises ClickException."""
    name = await find_name(api, what)
    answer = await get_run(api, name, run_id)
    if not run_id and answer.status_code == HTTPStatus.NOT_FOUND:
        raise click.ClickException(f"DAG {name!r} has no run")
    return decode(answer, DAGRunAnswer).dag_run_details


async def read_details(api: Api, path: str) -> DAGRunDetails:
    """Read a run again."""
    return (await api.get(path, DAGRunAnswer)).dag_run_details


async def read_events(api: Api, run: DAGRunDetails) -> list[RunEvent]:
    """Return all events of a run."""
    events: list[RunEvent] = []
    after = 0
    while True:
        page = await api.get(f"{path_of(run)}/events", RunEvents, {"after": after, "limit": _PER_PAGE})
        events += page.events
        if not page.next:
            return events
        after = page.next


def nodes_of(run: DAGRunDetails) -> list[Node]:
    """Return the steps and handlers of a run."""
    handlers = (run.on_wait, run.on_success, run.on_failure, run.on_cancel, run.on_exit)
    return [*run.nodes, *(node for node in handlers if node)]


def events_of_attempt(run: DAGRunDetails, events: Sequence[RunEvent]) -> list[RunEvent]:
    """Return the events of the newest attempt of a run."""
    return [event for event in events if event.attempt == (run.attempt or 1)]


def retry_waits(run: DAGRunDetails, events: Sequence[RunEvent]) -> dict[str, str]:
    """Return the steps that wait for their next execution, and when that is, from the events of the run's attempt."""
    newest = {event.step: event for event in events if event.step}
    running = [node.step.name for node in nodes_of(run) if node.status is NodeStatus.RUNNING]
    return {name: newest[name].due_at or "" for name in running if name in newest and newest[name].due_at}


def duration(item: DAGRunSummary | Node) -> str:
    """Format how long a run or a step took; a dash while unfinished."""
    return format_duration(seconds_of(item))


def seconds_of(item: DAGRunSummary | Node) -> float | None:
    """Return how long a run or a step took; None while unfinished."""
    if {item.started_at, item.finished_at} & NEVER:
        return None
    started, finished = item.started_at_millis, item.finished_at_millis
    if started is not UNSET and finished is not UNSET:
        return (finished - started) / 1000
    # Servers of version 0.1.0 have whole seconds in lists.
    return (datetime.fromisoformat(item.finished_at) - datetime.fromisoformat(item.started_at)).total_seconds()


def status_of(item: DAGRunSummary | Node) -> str:
    """Return the status of a run or a step in words; one that waits for an approval is not called running."""
    waits = item.waiting if isinstance(item, Node) else item.waiting_for_approval
    return "waiting for approval" if waits else words(item.status_label)


def error_of(item: DAGRunSummary | Node) -> str:
    """Return the first line of the error of a run or step; empty without one."""
    return (item.error or "").partition("\n")[0]
