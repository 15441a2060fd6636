"""Runs and their nodes. Pure; sections 4 of the behaviour and 7 of the format reference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from dagbook.api.presenters.approvals import WAITS, add_approval
from dagbook.api.presenters.dags import conditions, step, step_commands
from dagbook.api.presenters.fields import TimeFormatter, formatter_for, or_unset, time_text
from dagbook.api.schemas import runs as run_schemas
from dagbook.db.repositories.runs.run_history import HistoryNode
from dagbook.db.repositories.runs.run_list import RunListRow
from dagbook.db.repositories.runs.runs import (
    AttemptRow,
    EngineFields,
    NamedSubRunRow,
    NodeRow,
    RunRow,
    RunWithState,
    ShownCommand,
)
from dagbook.engine import rules
from dagbook.engine.event import ABORT, EXIT, FAILURE, SUCCESS, WAIT
from dagbook.engine.plan import find_step
from dagbook.engine.status import BAD_ENDS, NodeStatus, RunStatus
from dagbook.executors.calls import SubRun
from dagbook.json_values import Json
from dagbook.runs.evaluation.sub_run_plan import read_record
from dagbook.spec.model import CommandLine, Dag, Handlers, Step
from dagbook.spec.params import param_text

_NEVER = "-"
_LONGEST_CAUSE = 300  # characters: a line of a list
_EPOCH, _MILLISECOND = datetime.fromtimestamp(0, UTC), timedelta(milliseconds=1)
AnyNode = NodeRow | HistoryNode
_LABELS = {int(status): (status, status.label) for status in RunStatus}
_NODE_LABELS = {int(status): (status, status.label) for status in NodeStatus}


def listed_run(run: RunListRow, zone: tzinfo) -> run_schemas.DAGRunSummary:
    """Convert a run for a list."""
    _, _, name, run_id, number, params_text, queued_at, started_at, finished_at, revision, *_ = run
    root_name, root_id, parent_name, parent_id = run[-4:]
    status, label = _LABELS[number]
    times = formatter_for(zone)
    return run_schemas.DAGRunSummary(
        root_dag_run_name=root_name or name,
        root_dag_run_id=root_id or run_id,
        parent_dag_run_name=parent_name or UNSET,
        parent_dag_run_id=parent_id or UNSET,
        dag_run_id=run_id,
        name=name,
        status=status,
        status_label=label,
        queued_at=times.text(queued_at) or UNSET,
        started_at=times.text(started_at),
        finished_at=times.text(finished_at),
        started_at_millis=millis(started_at),
        finished_at_millis=millis(finished_at),
        # A pseudo path; a sub-run's is below its root's.
        log=f"db:/{root_name}/{root_id}/{name}/{run_id}.log" if root_name else f"db:/{name}/{run_id}.log",
        params=params_text or UNSET,
        revision=revision or UNSET,
        error=own_error(status, run.error, run.state) if status in BAD_ENDS else UNSET,
    )


def run_summary(run: RunRow, zone: tzinfo, waiting: Collection[int] = ()) -> run_schemas.DAGRunSummary:
    """Convert a run for a list; ``waiting`` has the keys of those that wait for an approval."""
    summary = listed_run(_list_row(run), zone)
    summary.waiting_for_approval = or_unset(run.id in waiting)
    if isinstance(run, RunWithState):
        summary.error = own_error(run.status, run.error, run.state)
    return summary


def own_error(status: RunStatus, error: str | None, state: Mapping[str, Json] | None) -> str | UnsetType:
    """Return why a run ended badly if no step is the reason, from its error and the state of its attempt."""
    end = EngineFields.of(state)
    return or_unset(rules.own_error(status, error or "", end.error_key, end.conditions))


def cause(own: str | UnsetType, error: str | None, node: str | None) -> str | UnsetType:
    """Return why a run failed or was aborted, in one line: its own error, or that of the node that is the reason."""
    if own or not (node and error):
        return own
    lines = error.strip().split("\n")
    text = f"{node}: {lines[0]}" + (f" \N{EN DASH} {lines[-1]}" if lines[-1] != lines[0] else "")
    return text if len(text) <= _LONGEST_CAUSE else f"{text[: _LONGEST_CAUSE - 1]}…"


def _list_row(run: RunRow) -> RunListRow:
    below = run if isinstance(run, NamedSubRunRow) else None
    return RunListRow(
        key=run.id,
        created_at=run.created_at,
        dag_name=run.dag_name,
        run_id=run.run_id,
        status=run.status,
        params_text=run.params_text,
        queued_at=run.queued_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        revision=run.dag_revision,
        error=None,
        state_json=None,
        is_replaced=False,
        root_name=below.root_name if below else None,
        root_run_id=below.root_run_id if below else None,
        parent_name=below.parent_name if below else None,
        parent_run_id=below.parent_run_id if below else None,
    )


class StepCache:
    """Converted steps of a definition, shared by all its runs."""

    def __init__(self, dag: Dag) -> None:
        self.dag = dag
        self._cache: dict[int, tuple[Step | None, run_schemas.Step]] = {}

    def get(self, position: int, name: str) -> tuple[Step | None, run_schemas.Step]:
        """Return a node's definition and its converted step, which must not be modified."""
        if position not in self._cache:
            definition = find_step(self.dag, position)
            converted = run_schemas.Step(name=name) if definition is None else step(definition)
            self._cache[position] = (definition, converted)
        return self._cache[position]


def run_details(
    run: RunRow,
    attempt: AttemptRow | RunWithState | None,
    nodes: Sequence[AnyNode],
    of: Dag | StepCache,
    zone: tzinfo,
) -> run_schemas.DAGRunDetails:
    """Convert a run with its nodes and the handlers that its DAG defines."""
    steps = of if isinstance(of, StepCache) else StepCache(of)
    summary = listed_run(_list_row(run), zone)
    log_base = summary.log.removesuffix(".log")
    options = _NodeOptions(log_base, formatter_for(zone), _NEVER if run.started_at is None else "")
    state = attempt.state if attempt else None
    summary.error = own_error(run.status, run.error, state)
    converted = {row.position: _node(row, steps, options) for row in nodes}
    waiting = ", ".join(converted[key].step.name for key in sorted(converted) if converted[key].waiting)
    summary.waiting_for_approval = or_unset(bool(waiting))
    return run_schemas.DAGRunDetails(
        **asdict(summary),
        preconditions=conditions(steps.dag.preconditions, EngineFields.of(state).conditions),
        nodes=[converted[key] for key in sorted(converted) if key >= 0],
        on_success=converted.get(SUCCESS, UNSET),
        on_failure=converted.get(FAILURE, UNSET),
        on_cancel=converted.get(ABORT, UNSET),
        on_exit=converted.get(EXIT, UNSET),
        on_wait=converted.get(WAIT, UNSET),
        reason=f"{WAITS}: {waiting}" if waiting else UNSET,
        trigger=or_unset(run.trigger),
        actor=or_unset(run.actor),
        attempt=or_unset(run.attempt),
        scheduled_at=time_text(run.scheduled_at, zone) if run.scheduled_at else UNSET,
        restart_wait_sec=max(steps.dag.restart_wait_seconds, 0) or UNSET,
    )


def millis(at: datetime | int | None) -> int | UnsetType:
    """Convert a time to milliseconds since 1970, which lists read; the contract's texts have whole seconds only."""
    if isinstance(at, datetime):
        return (at - _EPOCH) // _MILLISECOND
    return UNSET if at is None else at


class _NodeOptions(NamedTuple):
    """Options common to all nodes of a run: prefix of the log paths, and format of times."""

    log_base: str
    times: TimeFormatter
    missing: str


def _node(row: AnyNode, steps: StepCache, options: _NodeOptions) -> run_schemas.Node:
    status, label = _NODE_LABELS[row.status]
    started_at = row.started_at
    log = f"{options.log_base}/{row.name}" if started_at else ""
    node = run_schemas.Node(
        step=_step_in_run(row, steps),
        stdout=log and f"{log}.out",
        stderr=log and f"{log}.{'out' if steps.dag.merges_logs(find_step(steps.dag, row.position)) else 'err'}",
        started_at=options.times.text(started_at, options.missing),
        finished_at=options.times.text(row.finished_at, options.missing),
        status=status,
        status_label=label,
        retry_count=row.retry_count,
        done_count=row.done_count,
        error=row.error or UNSET,
        started_at_millis=millis(row.started_at),
        finished_at_millis=millis(row.finished_at),
    )
    if called := read_record(row.sub_runs):
        node.sub_runs = or_unset(_sub_run_calls(called.current))
        node.sub_runs_repeated = or_unset(_sub_run_calls(called.earlier))
    if isinstance(row, NodeRow):
        node.has_summary = or_unset(row.has_summary)
        if row.approval:
            add_approval(node, row.approval, options.times)
    return node


def _sub_run_calls(calls: Sequence[SubRun]) -> list[run_schemas.SubDAGRun]:
    return [run_schemas.SubDAGRun(dag_run_id=call.id, params=or_unset(call.params)) for call in calls]


def sub_runs(
    nodes: Sequence[NodeRow], known: Mapping[str, RunWithState], zone: tzinfo, waiting: Collection[int] = ()
) -> list[run_schemas.SubDAGRunDetail]:
    """Convert the runs that steps called, per step those of its last execution first (api-behaviour op 34).

    ``waiting`` has the keys of those that wait for an approval. A sub-run whose id a step has stored but that was never
    started is left out.
    """
    called = [record for row in nodes if row.position >= 0 and (record := read_record(row.sub_runs))]
    calls = [call for each in called for call in (*each.current, *each.earlier)]
    return [_sub_run(call, known[call.id], zone, waiting) for call in calls if call.id in known]


def _sub_run(call: SubRun, run: RunWithState, zone: tzinfo, waiting: Collection[int]) -> run_schemas.SubDAGRunDetail:
    return run_schemas.SubDAGRunDetail(
        dag_run_id=run.run_id,
        status=run.status,
        status_label=run.status.label,
        started_at=time_text(run.started_at, zone),
        finished_at=time_text(run.finished_at, zone),
        params=or_unset(call.params),
        error=own_error(run.status, run.error, run.state),
        started_at_millis=millis(run.started_at),
        finished_at_millis=millis(run.finished_at),
        waiting_for_approval=or_unset(run.id in waiting),
    )


def _step_in_run(row: AnyNode, steps: StepCache) -> run_schemas.Step:
    definition, cached = steps.get(row.position, row.name)
    if definition is None or not (row.shown or definition.preconditions):
        return cached
    converted = copy(cached)
    if row.shown:
        evaluated = msgspec.convert(row.shown, ShownCommand)
        converted.command, converted.args = evaluated.command, list(evaluated.args)
    if converted.commands and converted.command and len(definition.lines) < 2:  # noqa: PLR2004 - several
        converted.commands = step_commands([CommandLine("", converted.command, tuple(converted.args or ()))])
    if definition.preconditions:
        converted.preconditions = conditions(definition.preconditions, EngineFields.of(row.detail).conditions)
    return converted


def placeholder_run(dag: Dag, zone: tzinfo) -> run_schemas.DAGRunDetails:
    """Make the placeholder for a DAG without runs (api-behaviour 4.4)."""
    nodes = [_blank_node(index, item.name) for index, item in enumerate(dag.steps)]
    for key, name in _defined_handlers(dag.handlers):
        nodes.append(_blank_node(key, name))
    details = run_details(_blank_run(dag), None, nodes, dag, zone)
    details.root_dag_run_name, details.log = "", ""
    return details


def placeholder_summary(dag: Dag, zone: tzinfo) -> run_schemas.DAGRunSummary:
    """Make the same placeholder for a list."""
    summary = run_summary(_blank_run(dag), zone)
    summary.root_dag_run_name, summary.log = "", ""
    return summary


def _blank_run(dag: Dag) -> RunRow:
    return RunRow(
        id=0,
        root_id=None,
        dag_name=dag.name,
        run_id="",
        status=RunStatus.NOT_STARTED,
        attempt=0,
        params_text=param_text.format_pairs(dag.params),
        created_at=_EPOCH,
        queued_at=None,
        started_at=None,
        finished_at=None,
        definition_hash="",
        file_name=None,
        dag_revision=None,
        queue="",
        trigger="",
        actor=None,
        error=None,
    )


def _defined_handlers(handlers: Handlers) -> list[tuple[int, str]]:
    by_key = {
        SUCCESS: (handlers.success, "onSuccess"),
        FAILURE: (handlers.failure, "onFailure"),
        ABORT: (handlers.abort, "onCancel"),
        EXIT: (handlers.exit, "onExit"),
    }
    return [(key, name) for key, (handler, name) in by_key.items() if handler is not None]


def _blank_node(position: int, name: str) -> HistoryNode:
    return HistoryNode(
        run_id=0,
        position=position,
        name=name,
        status=NodeStatus.NOT_STARTED,
        retry_count=0,
        done_count=0,
        error="",
        detail=None,
        shown=None,
        sub_runs=None,
        started_at=None,
        finished_at=None,
    )
