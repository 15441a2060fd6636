"""Runs and their logs as responses; what several controllers return."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from dagbook.accounts.rights import find_permitted, refusal_of
from dagbook.api.params.run_filters import RunSearch, can_match, is_index_only
from dagbook.api.presenters.fields import or_unset, present_row, time_text
from dagbook.api.presenters.queues import waiting_for
from dagbook.api.presenters.runs import cause, listed_run, placeholder_run, run_details
from dagbook.api.schemas.batches import BatchOfRun
from dagbook.api.schemas.runs import DAGRunDetails, DAGRuns, DAGRunSummary, EventOfRun, RunName
from dagbook.api.services import RunReadServices
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals, holds
from dagbook.db.repositories.accounts import groups
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.approvals import Asked
from dagbook.db.repositories.batches import batches, starts
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import replacements, run_history, run_list, step_details
from dagbook.db.repositories.runs.replacements import Replacement
from dagbook.db.repositories.runs.run_filter import RunFilter
from dagbook.db.repositories.runs.run_list import RunListRow, RunPage
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.db.repositories.triggers import events
from dagbook.engine.status import RunStatus
from dagbook.queues.wait_reasons import QueuePosition, queue_positions
from dagbook.runs.evaluation.last_success import RUN_ID
from dagbook.runs.queries import RunSnapshot, read_newest
from dagbook.spec.model import Dag
from dagbook.spec.params import param_text


async def list_named(services: RunReadServices, name: str, search: RunSearch, caller: Caller) -> DAGRuns:
    """List the runs of one DAG name, which the guard has found to be visible."""
    return await list_runs_matching(services, search, replace(search.filter, name=name), caller)


async def list_runs_matching(
    services: RunReadServices, search: RunSearch, filter_: RunFilter, caller: Caller
) -> DAGRuns:
    if not can_match(filter_):
        return DAGRuns(dag_runs=[])
    if filter_.name_part and filter_.sub_runs == "exclude":
        filter_ = await services.database.read_inline(run_list.narrow, filter_, search.page)
    read = services.database.read_inline if is_index_only(filter_) else services.database.read

    def read_page(connection: ReadConnection) -> tuple[RunPage, Mapping[int, Replacement]]:
        found = run_list.find_page(connection, filter_, search.page)
        replaced = [run.key for run in found.runs if run.is_replaced]
        return found, replacements.find_replacing(connection, replaced, filter_.visibility) if replaced else {}

    found, replacing = await read(read_page)
    summaries = [listed_run(run, services.zone) for run in found.runs]
    keys = [run.key for run in found.runs]
    for summary, key in zip(summaries, keys, strict=True):
        if key in replacing:
            summary.replaced_by = RunName(name=replacing[key].new_name, dag_run_id=replacing[key].new_run_id)
    await _explain_ends(services, summaries, found.runs)
    await explain_waiting(services, summaries, keys, filter_.visibility)
    await add_rights(services, summaries, caller)
    return DAGRuns(dag_runs=summaries, next_cursor=search.cursor(found.next))


async def _explain_ends(
    services: RunReadServices, summaries: Sequence[DAGRunSummary], runs: Sequence[RunListRow]
) -> None:
    """Set ``cause`` of the runs among these that failed or were aborted."""
    positions = {run.key: run.failing_position for run in runs if run.state_json is not None}
    if not positions:
        return
    nodes = await services.database.read(lambda connection: run_history.find_failing_nodes(connection, positions))
    for run, summary in zip(runs, summaries, strict=True):
        if run.key in positions:
            summary.cause = cause(summary.error, run.error, nodes.get(run.key))


async def add_rights(services: RunReadServices, runs: Sequence[DAGRunSummary], caller: Caller) -> None:
    """Set whether the caller may start, stop and retry runs of the DAGs of these."""
    names = (run.root_dag_run_name for run in runs)
    (startable,) = await find_permitted(services.auth, caller, names, Requires.RUN)
    for run in runs:
        run.may_start = run.root_dag_run_name in startable


async def explain_waiting(
    services: RunReadServices, summaries: Sequence[DAGRunSummary], keys: Sequence[int], visibility: Visibility
) -> None:
    """Set what runs among these wait for: the queued ones, and the running ones that wait for an approval.

    ``keys`` are the runs' database ids.
    """
    runs = dict(zip(keys, summaries, strict=True))
    queued = [key for key, run in runs.items() if run.status is RunStatus.QUEUED]
    running = [key for key, run in runs.items() if run.status is RunStatus.RUNNING]

    def read(connection: ReadConnection) -> tuple[Mapping[int, QueuePosition], Collection[int]]:
        positions = queue_positions(connection, services.queues, queued, visibility) if queued else {}
        return positions, approvals.find_waiting(connection, running)

    if queued or running:
        positions, waiting = await services.database.read(read)
        for key, position in positions.items():
            runs[key].waiting_for = waiting_for(position, services.zone)
        for key in waiting:
            runs[key].waiting_for_approval = True


async def read_details(
    services: RunReadServices, find: Callable[[ReadConnection], RunRow], caller: Caller
) -> DAGRunDetails:
    """Return a run with its nodes, its wait reason if it is queued, and the loss of its owner."""
    now = services.now()
    newest = await services.database.read_inline(
        lambda connection: read_newest(services.library, connection, find(connection), now)
    )
    run, details = newest.run, _details(services, newest)
    if details.status is RunStatus.QUEUED:
        await explain_waiting(services, [details], [run.id], caller.visibility)
    if details.waiting_for_approval is True:
        may_run = not refusal_of(services.auth.switches, caller, Requires.RUN)
        memberships = await services.database.read_inline(groups.find_names, caller.user_id or "")
        for asked in (node.waiting for node in details.nodes if node.waiting):
            asked.may_decide = may_run and Asked(approvers=tuple(asked.approvers or ())).allows(
                caller.name, memberships
            )
    await _add_origin(services, details, run, caller)
    if newest.dag.names_last_success:
        environment = await services.database.read_inline(step_details.get_environment, run.id)
        details.began_from = or_unset(dict(environment.env if environment else ()).get(RUN_ID))
    if newest.attempt is not None and newest.expired_lease is not None:
        since = time_text(newest.expired_lease.since, services.zone)
        owner = f"{newest.attempt.owner}, stopped" if newest.expired_lease.stopped else newest.attempt.owner
        then = "another server of its machine takes the run over, or else it fails"
        if await services.database.read_inline(holds.get) is not None:
            then = "the database is held, so no server takes the run over, and `dagbook resume` fails it"
        details.reason = f"owner lost since {since} ({owner}); {then}"
    return details


async def _add_origin(services: RunReadServices, details: DAGRunDetails, run: RunRow, caller: Caller) -> None:
    """Set the event or the batch that a run is of, the run that it replaces, and the one that replaces it."""
    if run.trigger in events.RUN_TRIGGERS.values():
        event = await services.database.read_inline(events.get_of_run, run.id, caller.visibility)
        details.trigger_event = UNSET if event is None else EventOfRun(id=event.id, trigger=event.trigger)
    is_of_batch = run.trigger in (starts.BACKFILL, starts.RECALL)
    if is_of_batch:
        find_batch = batches.find_of_run
        batch = await services.database.read_inline(find_batch, run.id, caller.visibility, caller.user_id)
        details.batch = UNSET if batch is None else present_row(BatchOfRun, batch, services.zone)
    if not is_of_batch and not RunStatus(run.status).is_final:
        return  # only what has ended can be replaced
    for each in await services.database.read_inline(replacements.find_of_run, run.id, caller.visibility):
        if each.old == run.id:
            details.replaced_by = RunName(name=each.new_name, dag_run_id=each.new_run_id)
        else:
            details.replaces = RunName(name=each.old_name, dag_run_id=each.old_run_id)


def _details(services: RunReadServices, newest: RunSnapshot) -> DAGRunDetails:
    details = run_details(newest.run, newest.attempt, newest.nodes, newest.dag, services.zone)
    details.params_list = or_unset(list(param_text.describe(newest.params)))
    return details


async def latest_details(services: RunReadServices, row: DagRow, dag: Dag) -> DAGRunDetails:
    """Return the latest run of a stored DAG, or the placeholder for a DAG without runs."""
    now = services.now()

    def read(connection: ReadConnection) -> RunSnapshot | None:
        run = next(iter(run_history.find_latest(connection, [row.file_name]).values()), None)
        return None if run is None else read_newest(services.library, connection, run, now)

    newest = await services.database.read_inline(read)
    return placeholder_run(dag, services.zone) if newest is None else _details(services, newest)
