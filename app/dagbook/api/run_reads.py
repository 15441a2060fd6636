"""Runs and their logs as responses; what several controllers return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litestar import MediaType, Response
from msgspec.structs import replace

from dagbook.api.params import parameters
from dagbook.api.params.log_paging import PageRequest, is_part, page, resolve_range, slice_lines
from dagbook.api.params.run_filters import RunSearch, can_match, is_index_only
from dagbook.api.presenters.outputs import run_outputs
from dagbook.api.presenters.present import listed_run, own_error, placeholder_run, run_details, time_text
from dagbook.api.presenters.queues import waiting_for
from dagbook.api.schemas.common import or_unset
from dagbook.api.schemas.runs import DAGRunDetails, DAGRuns, DAGRunSummary, Log, RunOutputs
from dagbook.api.services import RunReadServices
from dagbook.db.database import ReadConnection
from dagbook.db.repositories.dag_access import Sight
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import run_history, run_list, runs
from dagbook.db.repositories.runs.run_filter import RunFilter
from dagbook.db.repositories.runs.runs import NodeRow, RunRow
from dagbook.engine.status import BAD_ENDS, NodeStatus, RunStatus
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.queues.wait_reasons import queue_positions
from dagbook.runs.queries import RunSnapshot, dag_of, find_run, find_step_log, read_newest
from dagbook.runs.store.run_loading import render_log
from dagbook.spec.model import Dag, Pair
from dagbook.spec.params import param_text

_SETTABLE = ", ".join(f"{int(status)} ({status.label})" for status in NodeStatus if status is not NodeStatus.RUNNING)


def check_settable(status: NodeStatus) -> None:
    """Raise BadRequestError for RUNNING, which only a runner can set."""
    if status is NodeStatus.RUNNING:
        raise BadRequestError(f"status: a step cannot be set to running; use one of {_SETTABLE}")


async def list_named(services: RunReadServices, name: str, search: RunSearch) -> DAGRuns:
    """List the runs of one DAG name, which the guard has found to be visible."""
    return await list_runs_matching(services, search, replace(search.filter, name=name))


async def list_runs_matching(services: RunReadServices, search: RunSearch, filter_: RunFilter) -> DAGRuns:
    if not can_match(filter_):
        return DAGRuns(dag_runs=[])
    read = services.database.read_inline if is_index_only(filter_) else services.database.read
    found = await read(lambda connection: run_list.find_page(connection, filter_, search.page))
    summaries = [listed_run(run, services.zone) for run in found.runs]
    keys = [run.key for run in found.runs]
    await explain_waiting(services, summaries, keys, filter_.sight)
    await _explain_bad_ends(services, summaries, keys)
    return DAGRuns(dag_runs=summaries, next_cursor=search.cursor(found.next))


async def explain_waiting(
    services: RunReadServices, summaries: Sequence[DAGRunSummary], keys: Sequence[int], sight: Sight
) -> None:
    """Set ``waiting_for`` of the queued runs among these; ``keys`` are the runs' database ids."""
    queued = {key: run for key, run in zip(keys, summaries, strict=True) if run.status is RunStatus.QUEUED}
    if queued:
        positions = await services.database.read(
            lambda connection: queue_positions(connection, services.queues, queued, sight)
        )
        for key, position in positions.items():
            queued[key].waiting_for = waiting_for(position, services.zone)


async def _explain_bad_ends(services: RunReadServices, summaries: Sequence[DAGRunSummary], keys: Sequence[int]) -> None:
    """Set ``error`` of the runs among these that no step has failed; ``keys`` are the runs' database ids."""
    bad = {key: run for key, run in zip(keys, summaries, strict=True) if run.status in BAD_ENDS}
    if bad:
        ends = await services.database.read_inline(lambda connection: run_history.find_bad_ends(connection, bad))
        for end in ends:
            bad[end.key].error = own_error(end.status, end.error, end.state)


async def read_details(services: RunReadServices, name: str, run_id: str, sight: Sight) -> DAGRunDetails:
    """Return a run with its nodes; raises NotFoundError."""
    now = services.now()
    newest = await services.database.read_inline(
        lambda connection: read_newest(services.library, connection, find_run(connection, name, run_id), now)
    )
    return await present_details(services, newest, sight)


async def present_details(services: RunReadServices, newest: RunSnapshot, sight: Sight) -> DAGRunDetails:
    """Convert a run with its nodes, its wait reason if it is queued, and the loss of its owner."""
    run, details = newest.run, await _details(services, newest)
    if details.status is RunStatus.QUEUED:
        await explain_waiting(services, [details], [run.id], sight)
    if newest.attempt is not None and newest.expired_lease is not None:
        since = time_text(newest.expired_lease.since, services.zone)
        owner = f"{newest.attempt.owner}, stopped" if newest.expired_lease.stopped else newest.attempt.owner
        details.reason = (
            f"owner lost since {since} ({owner}); another server of its machine takes the run over, or else it fails"
        )
    return details


async def _details(services: RunReadServices, newest: RunSnapshot) -> DAGRunDetails:
    dag = await dag_of(services.database, services.library, newest.run)
    details = run_details(newest.run, newest.attempt, newest.nodes, dag, services.zone)
    details.params_list = or_unset(list(param_text.describe(newest.params)))
    return details


def no_content(headers: Mapping[str, str] | None = None) -> Response[None]:
    """Make a 200 without a body, as seven operations return (api-behaviour 1.1)."""
    # As JSON it would be the text "null".
    return Response(None, status_code=200, media_type=MediaType.TEXT, headers=headers)


async def read_run_log(services: RunReadServices, run: RunRow, page_request: PageRequest) -> Log:
    """Read a page of a run's own log; raises NotFoundError while its first attempt is queued."""
    if run.status == RunStatus.QUEUED and run.attempt == 1:
        raise NotFoundError(f"run {shorten(run.run_id)} is queued, so it has no log yet")
    events = await services.database.read(lambda connection: runs.get_events(connection, run.id))
    lines = render_log(events, run, await dag_of(services.database, services.library, run), services.zone)
    requested = resolve_range(page_request, len(lines))
    selected = lines[requested.first - 1 : requested.first - 1 + requested.count]
    return page(selected, requested, len(lines), part=is_part(page_request))


async def read_step_log(
    services: RunReadServices, run: RunRow, step: str, stream: parameters.Stream, page_request: PageRequest
) -> Log:
    """Read a page of the output of a step or handler; raises NotFoundError."""
    key = await find_step_log(services.database, services.library, run, step, stream)
    return await services.database.read(lambda connection: _read_page(connection, key, page_request))


async def read_outputs(services: RunReadServices, run: RunRow) -> RunOutputs:
    """Return the collected outputs of a run, secrets masked."""

    def read(connection: ReadConnection) -> tuple[Sequence[NodeRow], Sequence[Pair]]:
        return runs.get_nodes(connection, run.id, run.attempt), runs.get_params(connection, run.id)

    nodes, params = await services.database.read_inline(read)
    dag = await dag_of(services.database, services.library, run)
    return run_outputs(run, param_text.describe(params), nodes, dag, services.zone)


def _read_page(connection: ReadConnection, key: StreamKey, request: PageRequest) -> Log:
    end = logs.get_end(connection, key)
    total = end.next_line - 1 + (not end.ends_with_newline)
    requested = resolve_range(request, total)
    chunks = logs.find_lines(connection, key, requested.first, requested.count, from_end=bool(request.tail))
    lines, served = slice_lines(chunks, requested)
    return page(lines, served, total, part=is_part(request))


async def latest_details(services: RunReadServices, row: DagRow, dag: Dag) -> DAGRunDetails:
    """Return the latest run of a stored DAG, or the placeholder for a DAG without runs."""
    now = services.now()

    def read(connection: ReadConnection) -> RunSnapshot | None:
        run = next(iter(run_history.find_latest(connection, [row.file_name]).values()), None)
        return None if run is None else read_newest(services.library, connection, run, now)

    newest = await services.database.read_inline(read)
    return placeholder_run(dag, services.zone) if newest is None else await _details(services, newest)
