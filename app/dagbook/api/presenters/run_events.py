"""Events of a run and its steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from msgspec import UNSET

from dagbook.api.presenters.fields import precise_time
from dagbook.api.schemas.run_logs import RunEvent
from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.status import NodeStatus, RunStatus

_TIMES = {
    "started_at": "started_at",
    "finished_at": "finished_at",
    "due_at": "due_at",
    "stop_asked_at": "stop_requested_at",
}
_SAME = ("execution", "retry_count", "done_count", "exit_code", "error", "queue", "timed_out")


def run_event(row: EventRow, names: Mapping[tuple[int, int], str], zone: tzinfo) -> RunEvent:
    """Convert one row; ``names`` are step names by attempt and position."""
    data: dict[str, Any] = row.data
    position = row.position
    event = RunEvent(number=row.seq, at=precise_time(row.at, zone), attempt=row.attempt, **_fields(data, zone))
    if position is not None:
        event.step = names.get((row.attempt, position), UNSET)
    if "status" in data:
        status = RunStatus(data["status"]) if position is None else NodeStatus(data["status"])
        event.status, event.status_label = int(status), status.label
    return event


def _fields(data: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    found = {name: data[name] for name in _SAME if data.get(name) is not None}
    found |= {
        field: precise_time(datetime.fromisoformat(data[name]), zone)
        for name, field in _TIMES.items()
        if data.get(name)
    }
    renamed = {
        "trigger": data.get("accepted"),
        "retried_step": data.get("step"),
        "actor": data.get("actor") or data.get("edited_by"),
        "dequeued": "dequeued" in data,
        "set_by_hand": "edited_by" in data,
        "unmet_preconditions": [text for text in data.get("conditions") or () if text],
    }
    return found | {name: value for name, value in renamed.items() if value}
