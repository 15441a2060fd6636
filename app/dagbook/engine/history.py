"""The history of an attempt, the changed fields of each event, and the run log rendered from it (runtime 11.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress, count
from operator import is_not
from typing import Any, Literal

import msgspec

from dagbook.engine.event import HANDLER_NAMES
from dagbook.engine.plan import running_keys
from dagbook.engine.state import Kill, NodeState, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.spec.model import Dag

# Recorded per node, or derived from the nodes.
_NOT_RECORDED = frozenset({"steps", "handlers", "ready", "running"})
_RUN_TYPES = {field.name: field.type for field in msgspec.structs.fields(RunState) if field.name not in _NOT_RECORDED}
_NODE_TYPES = {field.name: field.type for field in msgspec.structs.fields(NodeState)}
Level = Literal["INFO", "ERROR"]
_KILLS = {
    Kill.STOP: "step did not stop, killing its processes",
    Kill.STEP_TIMEOUT: "step reached its time limit, killing its processes",
    Kill.RUN_TIMEOUT: "run reached its time limit, killing its processes",
}


class Change(msgspec.Struct, frozen=True):
    """New values of the changed fields of the run (``key`` is None) or of one node."""

    key: int | None
    fields: dict[str, Any]


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
    run: dict[str, Any] = {}
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


def _difference(before: Any, after: Any, names: Iterable[str]) -> dict[str, Any]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return {name: msgspec.to_builtins(new) for name, old, new in pairs if old is not new and old != new}


class Line(msgspec.Struct, frozen=True):
    """A log line without its time, which is that of the record."""

    level: Level
    message: str
    attributes: dict[str, Any] = {}


def describe(dag: Dag, change: Change, error: str = "") -> tuple[Line, ...]:
    """Return the log lines of one recorded change.

    ``error`` is the run's current error; the change that finishes the run does not repeat it.
    """
    if change.key is None:
        return tuple(_run_lines(change.fields, error))
    if change.key < 0:
        return tuple(_node_lines(change.fields, "handler", HANDLER_NAMES[change.key]))
    return tuple(_node_lines(change.fields, "step", step_name(dag, change.key)))


def step_name(dag: Dag, key: int) -> str:
    """Return the name of a step, or its number if the definition was redacted."""
    return dag.steps[key].name if key < len(dag.steps) else f"#{key + 1}"


def _run_lines(fields: dict[str, Any], error: str) -> Iterator[Line]:
    if fields.get("status") == RunStatus.RUNNING:
        yield Line("INFO", "run started")
    unmet = [text for text in fields.get("conditions", ()) if text]
    if unmet:
        yield Line("INFO", "preconditions of the run are not met", {"err": "; ".join(unmet)})
    if fields.get("rested_at"):
        yield Line("INFO", "run waits for approval")
    if fields.get("stop_asked_at"):
        yield Line("INFO", "stop requested")
    elif fields.get("signalled_at"):
        yield Line("INFO", "stop signal sent again")
    if fields.get("timed_out"):
        yield Line("ERROR", "run reached its time limit")
    if fields.get("killed_at"):
        yield Line("INFO", "maxCleanUpTimeSec has passed")
    if fields.get("finished_at"):
        status = RunStatus(fields["status"])
        reason = {"err": fields["error"]} if status is RunStatus.ABORTED and fields.get("error") else {}
        yield Line("INFO", "run finished", {"status": status.label, **reason})
        if status is RunStatus.FAILED:
            yield Line("ERROR", "run failed", {"err": error} if error else {})


def _node_lines(fields: dict[str, Any], kind: str, name: str) -> Iterator[Line]:
    step = {"step": name}
    status = NodeStatus(fields.get("status", NodeStatus.NOT_STARTED))
    if status is NodeStatus.RUNNING:
        yield Line("INFO", f"{kind} started", step)
    if fields.get("checking"):
        what = "repeat condition is" if "execution" not in fields and status is not NodeStatus.RUNNING else ""
        yield Line("INFO", f"{what or 'preconditions are'} being checked", step)
    if fields.get("due_at"):
        yield _wait_line(fields, step)
    elif fields.get("execution", 0) > 1:
        yield Line("INFO", f"{kind} executed again", {**step, "execution": fields["execution"]})
    if fields.get("kill"):
        yield Line("ERROR", _KILLS[Kill(fields["kill"])], step)
    if status.is_final:
        yield from _node_end_lines(fields, kind, status, step)


def _wait_line(fields: dict[str, Any], step: dict[str, Any]) -> Line:
    until = {**step, "until": fields["due_at"]}
    if "retry_count" not in fields:
        return Line("INFO", "step will be repeated", until)
    columns = {"err": "error", "retry": "retry_count", "exit-code": "exit_code"}
    return Line("INFO", "step failed and will be retried", {**until, **_picked(fields, columns)})


def _node_end_lines(fields: dict[str, Any], kind: str, status: NodeStatus, step: dict[str, Any]) -> Iterator[Line]:
    unmet = [text for text in fields.get("conditions", ()) if text]
    if unmet:
        yield Line("INFO", f"preconditions of the {kind} are not met", {**step, "err": "; ".join(unmet)})
    level: Level = "ERROR" if status is NodeStatus.FAILED else "INFO"
    columns = _picked(fields, {"exit-code": "exit_code", "by": "decided_by", "err": "error"})
    what = "finished" if "finished_at" in fields else "is not run"
    yield Line(level, f"{kind} {what}", {**step, "status": status.label, **columns})


def _picked(fields: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    return {name: fields[field] for name, field in columns.items() if fields.get(field) not in (None, "")}
