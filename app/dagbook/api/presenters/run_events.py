"""Events of a run and its steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo

import msgspec
from msgspec import UNSET

from dagbook.api.presenters.fields import precise_time
from dagbook.api.schemas.run_logs import RunEvent
from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json

_SAME = ("execution", "retry_count", "done_count", "exit_code", "error", "queue", "timed_out")
_TIMES = ("started_at", "finished_at", "due_at", "stop_requested_at")


class _Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What an event changed, as far as it is presented."""

    status: int | None = None
    execution: int | None = None
    retry_count: int | None = None
    done_count: int | None = None
    exit_code: int | None = None
    error: str | None = None
    queue: str | None = None
    timed_out: bool | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    stop_requested_at: datetime | None = msgspec.field(name="stop_asked_at", default=None)
    accepted: str | None = None
    step: str | None = None
    actor: str | None = None
    edited_by: str | None = None
    dequeued: int | None = None
    conditions: list[str] = []


def run_event(row: EventRow, names: Mapping[tuple[int, int], str], zone: tzinfo) -> RunEvent:
    """Convert one row; ``names`` are step names by attempt and position."""
    changed, position = msgspec.convert(row.data, _Changed), row.position
    event = RunEvent(number=row.seq, at=precise_time(row.at, zone), attempt=row.attempt)
    event = msgspec.structs.replace(event, **_fields(changed, zone))
    if position is not None:
        event.step = names.get((row.attempt, position), UNSET)
    if changed.status is not None:
        status = RunStatus(changed.status) if position is None else NodeStatus(changed.status)
        event.status, event.status_label = int(status), status.label
    return event


def _fields(changed: _Changed, zone: tzinfo) -> dict[str, Json]:
    found: dict[str, Json] = {name: value for name in _SAME if (value := getattr(changed, name)) is not None}
    found |= {name: precise_time(at, zone) for name in _TIMES if (at := getattr(changed, name)) is not None}
    renamed: dict[str, Json] = {
        "trigger": changed.accepted,
        "retried_step": changed.step,
        "actor": changed.actor or changed.edited_by,
        "dequeued": changed.dequeued is not None,
        "set_by_hand": changed.edited_by is not None,
        "unmet_preconditions": [text for text in changed.conditions if text],
    }
    return found | {name: value for name, value in renamed.items() if value}
