"""The history of an attempt, the changed fields of each event, and the run log rendered from it (runtime 11.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import compress, count
from operator import is_not
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.engine.event import HANDLER_NAMES
from dagbook.engine.plan import running_keys
from dagbook.engine.state import Kill, NodeState, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json
from dagbook.spec.model import Dag

# Recorded per node, or derived from the nodes.
_NOT_RECORDED = frozenset({"steps", "handlers", "ready", "running"})
_RUN_TYPES = {field.name: field.type for field in msgspec.structs.fields(RunState) if field.name not in _NOT_RECORDED}
_NODE_TYPES = {field.name: field.type for field in msgspec.structs.fields(NodeState)}
Level = Literal["INFO", "WARN", "ERROR"]
_KILLS = {
    Kill.STOP: "step did not stop, killing its processes",
    Kill.STEP_TIMEOUT: "step reached its time limit, killing its processes",
    Kill.RUN_TIMEOUT: "run reached its time limit, killing its processes",
}


class Change(msgspec.Struct, frozen=True):
    """New values of the changed fields of the run (``key`` is None) or of one node."""

    key: int | None
    fields: dict[str, Json]


def changes(before: RunState, after: RunState) -> tuple[Change, ...]:
    """Return the changes between two states as JSON-compatible values, in the order of the run log.

    Untouched nodes are the same objects in both states, so only the others are compared.
    """
    found: list[Change] = []
    fields = _difference(before, after, _RUN_TYPES)
    if fields:
        found.append(Change(None, fields))
    nodes = [(key, before.handlers[key], node) for key, node in after.handlers.items()]
    changed = compress(count(), map(is_not, before.steps, after.steps))
    nodes += [(key, before.steps[key], after.steps[key]) for key in changed]
    for key, old, new in nodes:
        fields = {} if old is new else _difference(old, new, _NODE_TYPES)
        if fields:
            found.append(Change(key, fields))
    return tuple(sorted(found, key=_sort_key))


def fold(state: RunState, recorded: Iterable[Change]) -> RunState:
    """Return the state after recorded changes; ``ready`` is left to ``rebuild_ready``."""
    run: dict[str, object] = {}
    steps, handlers = list(state.steps), dict(state.handlers)
    for change in recorded:
        types = _RUN_TYPES if change.key is None else _NODE_TYPES
        values = {name: msgspec.convert(value, types[name]) for name, value in change.fields.items()}
        if change.key is None:
            run.update(values)
        elif change.key < 0:
            handlers[change.key] = msgspec.structs.replace(handlers[change.key], **values)
        else:
            steps[change.key] = msgspec.structs.replace(steps[change.key], **values)
    folded = msgspec.structs.replace(state, steps=tuple(steps), handlers=handlers, ready=(), **run)
    return msgspec.structs.replace(folded, running=running_keys(folded))


def _sort_key(change: Change) -> int:
    """Order: start of the run, finished nodes, other nodes, end of the run."""
    ended = "finished_at" in change.fields
    if change.key is None:
        return 3 if ended else 0
    return 1 if ended else 2


def _difference(before: object, after: object, names: Iterable[str]) -> dict[str, Json]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return {name: msgspec.to_builtins(new) for name, old, new in pairs if old is not new and old != new}


class Line(msgspec.Struct, frozen=True):
    """A log line without its time, which is that of the record."""

    level: Level
    message: str
    attributes: dict[str, object] = {}


class _RunFields(msgspec.Struct, frozen=True):
    """The changed fields of the run that the log is about."""

    status: RunStatus | None = None
    conditions: tuple[str, ...] = ()
    rested_at: str | None = None
    stop_asked_at: str | None = None
    signalled_at: str | None = None
    timed_out: bool = False
    killed_at: str | None = None
    finished_at: str | None = None
    error: str = ""


class _NodeFields(msgspec.Struct, frozen=True):
    """The changed fields of a node that the log is about."""

    status: NodeStatus = NodeStatus.NOT_STARTED
    conditions: tuple[str, ...] = ()
    checking: bool = False
    due_at: str | None = None
    execution: int | UnsetType = UNSET
    retry_count: int | UnsetType = UNSET
    exit_code: int | None = None
    kill: Kill | None = None
    decided_by: str = ""
    error: str = ""
    finished_at: str | UnsetType | None = UNSET


def describe(dag: Dag, change: Change, error: str = "") -> tuple[Line, ...]:
    """Return the log lines of one recorded change.

    ``error`` is the run's current error; the change that finishes the run does not repeat it.
    """
    if change.key is None:
        return tuple(_run_lines(msgspec.convert(change.fields, _RunFields), error))
    fields = msgspec.convert(change.fields, _NodeFields)
    if change.key < 0:
        return tuple(_node_lines(fields, "handler", HANDLER_NAMES[change.key]))
    return tuple(_node_lines(fields, "step", step_name(dag, change.key)))


def step_name(dag: Dag, key: int) -> str:
    """Return the name of a step, or its number if the definition was redacted."""
    return dag.steps[key].name if key < len(dag.steps) else f"#{key + 1}"


def _run_lines(fields: _RunFields, error: str) -> Iterator[Line]:
    if fields.status is RunStatus.RUNNING:
        yield Line("INFO", "run started")
    if unmet := "; ".join(filter(None, fields.conditions)):
        yield Line("INFO", "preconditions of the run are not met", {"err": unmet})
    if fields.rested_at:
        yield Line("INFO", "run waits for approval")
    if fields.stop_asked_at:
        yield Line("INFO", "stop requested")
    elif fields.signalled_at:
        yield Line("INFO", "stop signal sent again")
    if fields.timed_out:
        yield Line("ERROR", "run reached its time limit")
    if fields.killed_at:
        yield Line("INFO", "maxCleanUpTimeSec has passed")
    if fields.finished_at and fields.status is not None:
        reason = {"err": fields.error} if fields.status is RunStatus.ABORTED and fields.error else {}
        yield Line("INFO", "run finished", {"status": fields.status.label, **reason})
        if fields.status is RunStatus.FAILED:
            yield Line("ERROR", "run failed", {"err": error} if error else {})


def _node_lines(fields: _NodeFields, kind: str, name: str) -> Iterator[Line]:
    step: dict[str, object] = {"step": name}
    if fields.status is NodeStatus.RUNNING:
        yield Line("INFO", f"{kind} started", step)
    if fields.checking:
        is_repeat = fields.execution is UNSET and fields.status is not NodeStatus.RUNNING
        what = "repeat condition is" if is_repeat else "preconditions are"
        yield Line("INFO", f"{what} being checked", step)
    if fields.due_at:
        yield _wait_line(fields, {**step, "until": fields.due_at})
    elif fields.execution is not UNSET and fields.execution > 1:
        yield Line("INFO", f"{kind} executed again", {**step, "execution": fields.execution})
    if fields.kill:
        yield Line("ERROR", _KILLS[fields.kill], step)
    if fields.status.is_final:
        yield from _node_end_lines(fields, kind, step)


def _wait_line(fields: _NodeFields, until: Mapping[str, object]) -> Line:
    if fields.retry_count is UNSET:
        return Line("INFO", "step will be repeated", {**until})
    known = _known({"err": fields.error, "retry": fields.retry_count, "exit-code": fields.exit_code})
    return Line("INFO", "step failed and will be retried", {**until, **known})


def _node_end_lines(fields: _NodeFields, kind: str, step: Mapping[str, object]) -> Iterator[Line]:
    if unmet := "; ".join(filter(None, fields.conditions)):
        yield Line("INFO", f"preconditions of the {kind} are not met", {**step, "err": unmet})
    level: Level = "ERROR" if fields.status is NodeStatus.FAILED else "INFO"
    known = _known({"exit-code": fields.exit_code, "by": fields.decided_by, "err": fields.error})
    what = "is not run" if fields.finished_at is UNSET else "finished"
    yield Line(level, f"{kind} {what}", {**step, "status": fields.status.label, **known})


def _known(values: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in values.items() if value not in (None, "")}
