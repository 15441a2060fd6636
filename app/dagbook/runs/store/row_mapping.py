"""Mapping of engine state to rows and back. Pure: rows are dicts to write, and structs that were read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from dagbook.db.repositories.runs.runs import AttemptRow, CompleteRun, EventRow, NodeRow
from dagbook.db.search_keys import error_text
from dagbook.engine.history import Change
from dagbook.engine.state import NodeState, RunState

Row = dict[str, Any]
_NODE_COLUMNS = (
    "execution",
    "started_at",
    "finished_at",
    "executed_at",
    "due_at",
    "retried_at",
    "retry_count",
    "done_count",
    "repeated",
    "exit_code",
    "error",
)
_NODE_DETAIL = ("checking", "kill", "tolerated", "verdict", "retry_limit", "retry_interval_seconds", "conditions")
_RUN_DETAIL = (
    "phase",
    "only",
    "status_before",
    "cancelled",
    "error_key",
    "outcome",
    "stop_asked_at",
    "signalled_at",
    "killed_at",
    "timed_out",
    "next_pick_at",
    "conditions",
)
_BLANK_NODE, _BLANK_RUN = NodeState(), RunState()


class NodeRecord(msgspec.Struct, kw_only=True):
    """Stored data of a node beside the engine state."""

    output_name: str | None = None
    output_value: str | None = None
    pid: int | None = None
    pid_started: int | None = None
    spool: str | None = None
    shown: dict[str, Any] | None = None
    sub_runs: dict[str, Any] | None = None
    hidden: tuple[str, ...] = ()  # secret values in the outputs of sub-runs; only stored encrypted


_RECORD_COLUMNS = tuple(name for name in NodeRecord.__struct_fields__ if name != "hidden")


def node_row(run: int, attempt: int, key: int, state: NodeState, records: NodeRecord) -> Row:
    """Make the changeable columns of a node."""
    row: Row = {name: getattr(state, name) for name in _NODE_COLUMNS}
    detail = msgspec.to_builtins(_changed(state, _BLANK_NODE, _NODE_DETAIL)) or None
    row.update(run_id=run, attempt=attempt, position=key, status=int(state.status), detail=detail)
    row.update({name: getattr(records, name) for name in _RECORD_COLUMNS}, output_sealed=None)
    return row


def _changed(state: msgspec.Struct, blank: msgspec.Struct, names: Sequence[str]) -> Row:
    return {name: value for name in names if (value := getattr(state, name)) != getattr(blank, name)}


def attempt_row(state: RunState, closed_at: datetime | None) -> Row:
    """Make the changeable columns of an attempt."""
    detail = msgspec.to_builtins(_changed(state, _BLANK_RUN, _RUN_DETAIL))
    return {"status": int(state.status), "state": detail, "closed_at": closed_at}


def run_row(state: RunState) -> Row:
    """Make the changeable columns of a run."""
    return {
        "status": int(state.status),
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "error": state.error or None,
    }


def errors_of(state: RunState) -> str:
    """Return the error texts of a finished attempt, for the search; empty if there are none."""
    nodes = (*state.steps, *state.handlers.values())
    return error_text(state.error, [node.error for node in nodes])


def event_rows(run: int, attempt: int, last_seq: int, changes: Sequence[Change], at: datetime) -> list[Row]:
    """Make the next event rows of a run, numbered after ``last_seq``."""
    return [
        {
            "run_id": run,
            "seq": last_seq + number,
            "attempt": attempt,
            "at": at,
            "position": change.key,
            "data": change.fields,
        }
        for number, change in enumerate(changes, 1)
    ]


def stored_events(rows: Iterable[Row]) -> list[EventRow]:
    """Return event rows as they are read after they were stored."""
    return [EventRow(**{name: row[name] for name in EventRow.__struct_fields__}) for row in rows]


def node_state(row: NodeRow) -> NodeState:
    """Read the engine state of a node from its row."""
    fields: Row = {name: getattr(row, name) for name in _NODE_COLUMNS}
    fields["error"] = fields["error"] or ""
    detail = msgspec.convert(row.detail or {}, type=NodeState)
    fields.update({name: getattr(detail, name) for name in _NODE_DETAIL})
    return NodeState(status=row.status, **fields)


def node_record(row: NodeRow) -> NodeRecord:
    """Read the record of a node from its row, without decryption."""
    return NodeRecord(**{name: getattr(row, name) for name in _RECORD_COLUMNS})


def run_state(run: CompleteRun, attempt: AttemptRow, nodes: Sequence[NodeRow]) -> RunState:
    """Read the engine state of an attempt from its rows."""
    detail = msgspec.convert(attempt.state or {}, type=RunState)
    states = {row.position: node_state(row) for row in nodes}
    return msgspec.structs.replace(
        detail,
        status=run.status,
        started_at=run.started_at,
        finished_at=run.finished_at,
        error=run.error or "",
        steps=tuple(states[key] for key in sorted(states) if key >= 0),
        handlers={key: state for key, state in states.items() if key < 0},
    )


def retried_event(run: int, at: datetime, *, seq: int, attempt: int, actor: str | None, step: str | None) -> Row:
    """Make the first event of a later attempt: the run, or one step of it, is retried."""
    fields = {"step": step, "actor": actor}
    data = {"accepted": "retry", **{name: value for name, value in fields.items() if value is not None}}
    return {"run_id": run, "seq": seq, "attempt": attempt, "at": at, "position": None, "data": data}


def dequeued_event(run: int, at: datetime, *, seq: int, attempt: int, actor: str | None) -> Row:
    """Make the event that an attempt was dequeued before it started."""
    data = {"dequeued": attempt, **({"actor": actor} if actor else {})}
    return {"run_id": run, "seq": seq, "attempt": attempt, "at": at, "position": None, "data": data}


def accepted_event(run: int, at: datetime, trigger: str, actor: str | None) -> Row:
    """Make the first event of a run: it was accepted, with trigger and actor."""
    data = {"accepted": trigger, **({"actor": actor} if actor else {})}
    return {"run_id": run, "seq": 1, "attempt": 1, "at": at, "position": None, "data": data}
