"""Operations on runs and their logs (tag dag-runs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream
from msgspec.structs import replace

from dagbook.api.download import TEXT_FILE, file_name, send_log
from dagbook.api.openapi_responses import empty_or_errors, errors
from dagbook.api.params import parameters
from dagbook.api.params.log_paging import PageRequest, is_part, page, resolve_range, slice_lines
from dagbook.api.params.run_filters import REPEATED, RunSearch, can_match, is_index_only
from dagbook.api.presenters.present import listed_run, run_details, time_text
from dagbook.api.presenters.queues import waiting_for
from dagbook.api.schemas.runs import DAGRunAnswer, DAGRunDetails, DAGRuns, DAGRunSummary, Log, StartedRun, StartInline
from dagbook.api.services import AppServices
from dagbook.auth.audit_context import Action
from dagbook.auth.caller import Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import services
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import run_history, run_list, runs
from dagbook.db.repositories.runs.run_filter import RunFilter
from dagbook.db.repositories.runs.runs import AttemptRow, NodeRow, RunRow
from dagbook.db.repositories.services import ExpiredLease
from dagbook.engine.status import RunStatus
from dagbook.errors import NotFoundError
from dagbook.identifiers import LATEST, shorten
from dagbook.queues.wait_reasons import queue_positions
from dagbook.runs.options import StartOptions
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.service.rerun_service import unknown_step
from dagbook.runs.store.run_loading import read_definition
from dagbook.runs.store.run_log import render_log
from dagbook.spec.model import Dag

_STREAMS = {"stdout": STDOUT, "stderr": STDERR}


@post(
    "/dag-runs",
    operation_id="executeDAGRunFromSpec",
    requires=Requires.RUN_TEXT,
    audits=Action.RUN_START,
    status_code=200,
    responses=errors(409),
)
async def start_text(
    data: JSONBody[StartInline], parts: NamedDependency[AppServices], caller: NamedDependency[Caller]
) -> StartedRun:
    """Start a run of a definition that is not stored as a DAG."""
    return await start_from(parts, data, caller)


async def start_from(parts: AppServices, data: StartInline, caller: Caller) -> StartedRun:
    """Start a run of a definition for a caller; raises AppError."""
    start = StartOptions(
        params=data.params or "",
        run_id=data.dag_run_id or "",
        singleton=bool(data.singleton),
        source_directory=data.source_directory or None,
        actor=caller.actor,
    )
    run_id = await parts.run_service.start_text(data.spec, (data.name or "").strip(), start)
    return StartedRun(dag_run_id=run_id)


@get("/dag-runs", operation_id="listDAGRuns", requires=Requires.READ, repeated=REPEATED, responses=errors())
async def list_runs(
    parts: NamedDependency[AppServices],
    run_search: NamedDependency[RunSearch],
    name: parameters.Text = None,
) -> DAGRuns:
    """List runs, newest first, at most 1000; without dates those created since 00:00 UTC today.

    Without ``subRuns`` these are root runs. ``nextCursor`` of the response, sent as ``cursor``, continues the list. A
    page with ``nextCursor`` may have fewer runs than ``limit``, or none, when finding more would take too long.
    """
    return await _list(parts, run_search, replace(run_search.filter, name_part=name or None))


@get(
    "/dag-runs/{name:str}",
    operation_id="listDAGRunsByName",
    requires=Requires.READ,
    repeated=REPEATED,
    responses=errors(),
)
async def list_runs_of_name(
    name: parameters.AnyDagName,
    parts: NamedDependency[AppServices],
    run_search: NamedDependency[RunSearch],
) -> DAGRuns:
    """List the runs of one DAG name, also of a deleted DAG, as listDAGRuns does."""
    return await list_named(parts, name, run_search)


async def list_named(parts: AppServices, name: str, search: RunSearch) -> DAGRuns:
    """List the runs of one DAG name."""
    return await _list(parts, search, replace(search.filter, name=name))


async def _list(parts: AppServices, search: RunSearch, filter_: RunFilter) -> DAGRuns:
    if not can_match(filter_):
        return DAGRuns(dag_runs=[])
    read = parts.database.read_inline if is_index_only(filter_) else parts.database.read
    found = await read(lambda connection: run_list.find_page(connection, filter_, search.page))
    summaries = [listed_run(run, parts.zone) for run in found.runs]
    await explain_waiting(parts, summaries, [run[0] for run in found.runs])
    return DAGRuns(dag_runs=summaries, next_cursor=search.cursor(found.next))


async def explain_waiting(parts: AppServices, summaries: Sequence[DAGRunSummary], keys: Sequence[int]) -> None:
    """Set ``waiting_for`` of the queued runs among these; ``keys`` are the runs' database ids."""
    queued = {key: run for key, run in zip(keys, summaries, strict=True) if run.status is RunStatus.QUEUED}
    if queued:
        positions = await parts.database.read(lambda connection: queue_positions(connection, parts.queues, queued))
        for key, position in positions.items():
            queued[key].waiting_for = waiting_for(position, parts.zone)


@get(
    "/dag-runs/{name:str}/{dagRunId:str}",
    operation_id="getDAGRunDetails",
    requires=Requires.READ,
    responses=errors(404),
)
async def get_run(
    name: parameters.DagName, dag_run_id: parameters.DagRunId, parts: NamedDependency[AppServices]
) -> DAGRunAnswer:
    """Return a run with its nodes; ``latest`` is the newest one."""
    return DAGRunAnswer(dag_run_details=await read_details(parts, name, dag_run_id))


async def read_details(parts: AppServices, name: str, run_id: str) -> DAGRunDetails:
    """Return a run with its nodes; raises NotFoundError."""
    now = parts.now()
    newest = await parts.database.read_inline(
        lambda connection: read_newest(parts, connection, find_run(connection, name, run_id), now)
    )
    return await present_details(parts, newest)


async def present_details(parts: AppServices, newest: RunSnapshot) -> DAGRunDetails:
    """Convert a run with its nodes, its wait reason if it is queued, and the loss of its owner."""
    run = newest.run
    details = run_details(run, newest.attempt, newest.nodes, await dag_of(parts, run), parts.zone)
    if details.status is RunStatus.QUEUED:
        await explain_waiting(parts, [details], [run.id])
    if newest.attempt is not None and newest.expired_lease is not None:
        since = time_text(newest.expired_lease.since, parts.zone)
        owner = f"{newest.attempt.owner}, stopped" if newest.expired_lease.stopped else newest.attempt.owner
        details.reason = (
            f"owner lost since {since} ({owner}); another server of its machine takes the run over, or else it fails"
        )
    return details


class RunSnapshot(NamedTuple):
    """A run with its newest attempt and nodes, and the expired lease of its owner, if it has expired.

    The attempt is None when the response needs nothing of it.
    """

    run: RunRow
    attempt: AttemptRow | None
    nodes: Sequence[NodeRow]
    expired_lease: ExpiredLease | None


def read_newest(parts: AppServices, connection: ReadConnection, run: RunRow, now: datetime) -> RunSnapshot:
    """Read the snapshot of a run; with an expired lease the orphan sweep of another server will adopt or fail it."""
    attempt = runs.get_attempt(connection, run.id, run.attempt) if _needs_attempt(parts, run) else None
    nodes = runs.get_nodes(connection, run.id, run.attempt)
    owner = attempt.owner if attempt and run.status == RunStatus.RUNNING else None
    return RunSnapshot(run, attempt, nodes, services.expired_since(connection, owner, now) if owner else None)


def _needs_attempt(parts: AppServices, run: RunRow) -> bool:
    """Whether the response needs the attempt: for the run's owner, or the results of its DAG's preconditions."""
    if run.finished_at is None:
        return True
    dag = _cached_dag(parts, run)
    return dag is None or bool(dag.preconditions)


def find_run(connection: ReadConnection, name: str, run_id: str) -> RunRow:
    """Return the summary of a run; ``latest`` is the newest one. Raises NotFoundError naming DAG and run."""
    run = None
    if "\0" not in name + run_id and run_id == LATEST:
        run = runs.get_latest(connection, name)
    return require_run(connection, name, run_id) if run is None else run


def require_run(connection: ReadConnection, name: str, run_id: str) -> RunRow:
    """Return the summary of a run by its exact id, for changes; raises NotFoundError naming DAG and run."""
    run = None if "\0" in name + run_id else runs.get(connection, name, run_id)
    if run is None:
        raise NotFoundError(f"there is no run {shorten(run_id)} of DAG {shorten(name)}")
    return run


async def dag_of(parts: AppServices, run: RunRow) -> Dag:
    """Return the definition of a run."""
    return (await dags_of(parts, [run]))[run.definition_hash]


async def dags_of(parts: AppServices, found: Sequence[RunRow]) -> dict[str, Dag]:
    """Return the definitions of runs of one DAG name by hash; those not cached are read in one query."""
    by_hash = {run.definition_hash: run for run in found}
    known = {content_hash: dag for content_hash, run in by_hash.items() if (dag := _cached_dag(parts, run))}
    if missing := by_hash.keys() - known:
        specs = await parts.database.read_inline(lambda connection: run_history.find_specs(connection, missing))
        for content_hash in missing:
            text, base = specs.get(content_hash, ("", ""))
            loaded = read_definition(parts.library, by_hash[content_hash], text or "", base or "")
            known[content_hash] = loaded.definition.dag
    return known


def _cached_dag(parts: AppServices, run: RunRow) -> Dag | None:
    """Return the definition of a root run, if it is cached."""
    if run.root_id is not None:
        return None
    loaded = parts.library.get_cached(run.definition_hash, run.dag_name)
    return None if loaded is None else loaded.definition.dag


@post(
    "/dag-runs/{name:str}/{dagRunId:str}/stop",
    operation_id="terminateDAGRun",
    requires=Requires.RUN,
    audits=Action.RUN_STOP,
    status_code=200,
    responses=empty_or_errors(404),
)
async def stop_run(
    name: parameters.DagName,
    dag_run_id: parameters.DagRunId,
    parts: NamedDependency[AppServices],
    caller: NamedDependency[Caller],
) -> Response[None]:
    """Request a run to stop; it finishes later."""
    if "\0" in name + dag_run_id:
        raise NotFoundError(f"there is no run {shorten(dag_run_id)} of DAG {shorten(name)}")
    await parts.run_service.stop(name, dag_run_id, caller.actor)
    return no_content()


def no_content(headers: Mapping[str, str] | None = None) -> Response[None]:
    """Make a 200 without a body, as seven operations return (api-behaviour 1.1)."""
    # As JSON it would be the text "null".
    return Response(None, status_code=200, media_type=MediaType.TEXT, headers=headers)


@get(
    "/dag-runs/{name:str}/{dagRunId:str}/log",
    operation_id="getDAGRunLog",
    requires=Requires.READ,
    responses=errors(404),
)
async def get_run_log(
    name: parameters.DagName,
    dag_run_id: parameters.DagRunId,
    parts: NamedDependency[AppServices],
    page_request: NamedDependency[PageRequest],
) -> Log:
    """Return a page of the run's own log, which lists its events over all attempts."""
    run = await parts.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
    return await read_run_log(parts, run, page_request)


async def read_run_log(parts: AppServices, run: RunRow, page_request: PageRequest) -> Log:
    """Read a page of a run's own log; raises NotFoundError while its first attempt is queued."""
    if run.status == RunStatus.QUEUED and run.attempt == 1:
        raise NotFoundError(f"run {shorten(run.run_id)} is queued, so it has no log yet")
    events = await parts.database.read(lambda connection: runs.get_events(connection, run.id))
    lines = render_log(events, run, await dag_of(parts, run), parts.zone)
    requested = resolve_range(page_request, len(lines))
    selected = lines[requested.first - 1 : requested.first - 1 + requested.count]
    return page(selected, requested, len(lines), part=is_part(page_request))


@get(
    "/dag-runs/{name:str}/{dagRunId:str}/steps/{stepName:str}/log",
    operation_id="getDAGRunStepLog",
    requires=Requires.READ,
    responses=errors(404),
)
async def get_step_log(
    name: parameters.DagName,
    dag_run_id: parameters.DagRunId,
    step_name: NamedDependency[str],
    parts: NamedDependency[AppServices],
    page_request: NamedDependency[PageRequest],
    stream: parameters.Stream = "stdout",
) -> Log:
    """Return a page of the output of a step or handler, also while it is running."""
    run = await parts.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
    return await read_step_log(parts, run, step_name, stream, page_request)


async def read_step_log(
    parts: AppServices, run: RunRow, step: str, stream: parameters.Stream, page_request: PageRequest
) -> Log:
    """Read a page of the output of a step or handler; raises NotFoundError."""
    key = await find_step_log(parts, run, step, stream)
    return await parts.database.read(lambda connection: _read_page(connection, key, page_request))


async def find_step_log(parts: AppServices, run: RunRow, step: str, stream: parameters.Stream) -> StreamKey:
    """Return the key of a step's or handler's output; raises NotFoundError."""
    nodes = await parts.database.read_inline(lambda connection: runs.get_nodes(connection, run.id, run.attempt))
    node = next((node for node in nodes if node.name == step), None)
    if node is None:
        raise unknown_step(run, step)
    if node.started_at is None:
        raise NotFoundError(f"step {shorten(step)} has not run, so it has no log")
    # The output of a node that a retry kept belongs to an earlier attempt.
    return StreamKey(run.id, node.log_attempt or node.attempt, node.position, _STREAMS[stream])


@get(
    "/dag-runs/{name:str}/{dagRunId:str}/steps/{stepName:str}/log/download",
    operation_id="downloadDAGRunStepLog",
    requires=Requires.READ,
    responses={200: TEXT_FILE, **errors(404)},
)
async def download_step_log(
    name: parameters.DagName,
    dag_run_id: parameters.DagRunId,
    step_name: NamedDependency[str],
    parts: NamedDependency[AppServices],
    stream: parameters.Stream = "stdout",
) -> Stream:
    """Download the output of a step or handler so far as a text file."""
    run = await parts.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
    key = await find_step_log(parts, run, step_name, stream)
    return send_log(parts.database, key, file_name(step_name, stream))


def _read_page(connection: ReadConnection, key: StreamKey, request: PageRequest) -> Log:
    end = logs.get_end(connection, key)
    total = end.next_line - 1 + (not end.ends_with_newline)
    requested = resolve_range(request, total)
    chunks = logs.find_lines(connection, key, requested.first, requested.count, from_end=bool(request.tail))
    lines, served = slice_lines(chunks, requested)
    return page(lines, served, total, part=is_part(request))


HANDLERS = [start_text, list_runs, list_runs_of_name, get_run, stop_run, get_run_log, get_step_log, download_step_log]
