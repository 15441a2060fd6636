"""Events of a run and its steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

from msgspec import UNSET
from msgspec.structs import replace

from dagbook.api.presenters.fields import precise_time
from dagbook.api.schemas.run_logs import RunEvent
from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json, JsonObject

_TIMES = {
    "started_at": "started_at",
    "finished_at": "finished_at",
    "due_at": "due_at",
    "stop_asked_at": "stop_requested_at",
}
_SAME = ("execution", "retry_count", "done_count", "exit_code", "error", "queue", "timed_out")


def run_event(row: EventRow, names: Mapping[tuple[int, int], str], zone: tzinfo) -> RunEvent:
    """Convert one row; ``names`` are step names by attempt and position."""
    data, position = row.data, row.position
    event = RunEvent(number=row.seq, at=precise_time(row.at, zone), attempt=row.attempt)
    event = replace(event, **_fields(data, zone))
    if position is not None:
        event.step = names.get((row.attempt, position), UNSET)
    if "status" in data:
        status = RunStatus(data["status"]) if position is None else NodeStatus(data["status"])
        event.status, event.status_label = int(status), status.label
    return event


def _fields(data: JsonObject, zone: tzinfo) -> dict[str, Json]:
    found = {name: data[name] for name in _SAME if data.get(name) is not None}
    found |= {
        field: precise_time(datetime.fromisoformat(str(data[name])), zone)
        for name, field in _TIMES.items()
        if data.get(name)
    }
    conditions = data.get("conditions")
    renamed: dict[str, Json] = {
        "trigger": data.get("accepted"),
        "retried_step": data.get("step"),
        "actor": data.get("actor") or data.get("edited_by"),
        "dequeued": "dequeued" in data,
        "set_by_hand": "edited_by" in data,
        "unmet_preconditions": [text for text in conditions if text] if isinstance(conditions, list) else [],
    }
    return found | {name: value for name, value in renamed.items() if value}
