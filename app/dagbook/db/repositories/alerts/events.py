"""The outbox of alerts: events that are to be routed, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, exists, func, insert, or_, select, text, update

from dagbook.db.database import ALERTS, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.alert import AlertEvent
from dagbook.db.models.run import Run
from dagbook.db.statements import all_rows, columns, first_row, insert_into, is_one_of
from dagbook.engine.status import RunStatus
from dagbook.json_values import Json


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to store, which names what happened by its key."""

    key: str
    at: datetime
    kind: str
    subject_kind: str
    subject: str
    data: Mapping[str, Json]
    test: bool = False
    run_id: int | None = None
    attempt: int | None = None


class EventRow(NewEvent, frozen=True, kw_only=True):
    """An event with what came of it; ``dag_name`` and ``tags`` are those of its run."""

    id: int
    outcome: str | None
    dag_name: str | None
    tags: Sequence[str] | None
    run_created_at: datetime | None


_select = select(
    *columns(AlertEvent, EventRow), Run.dag_name, Run.tags, Run.created_at.label("run_created_at")
).outerjoin(Run, Run.id == AlertEvent.run_id)
_is_unrouted = AlertEvent.routed_at.is_(None)
_find_unrouted = _select.where(_is_unrouted).order_by(AlertEvent.id).limit(bindparam("most"))
_find_success = (
    select(Run.finished_at)
    .where(
        Run.dag_name == bindparam("dag"),
        Run.root_id.is_(None),
        Run.status == RunStatus.SUCCEEDED,
        or_(Run.created_at >= bindparam("since"), Run.id == bindparam("run")),
        Run.finished_at > bindparam("at"),
        ~exists().where(AlertEvent.run_id == Run.id, _is_unrouted),
    )
    .order_by(Run.finished_at)
    .limit(1)
)


_find_keys = select(AlertEvent.key).where(is_one_of(AlertEvent.key, "keys"))


def read_time(connection: ReadConnection, now: datetime) -> datetime:
    """Return the time of the database, which all servers share; on SQLite, which one process has open, ``now``."""
    if connection.dialect.name != "postgresql":
        return now
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found


def lock_outbox(connection: WriteConnection) -> None:
    """Let one server at a time route events: a success must not be routed before the failure that it ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('alert_events'))"))


def add(connection: WriteConnection, event: NewEvent) -> int:
    """Store an event, and return its key."""
    added = insert(AlertEvent).values(msgspec.structs.asdict(event)).returning(AlertEvent.id)
    mark_changed(connection, ALERTS)
    return int(connection.execute(added).scalar_one())


def add_new(connection: WriteConnection, event: NewEvent) -> None:
    """Store an event unless one with its key is there."""
    connection.execute(insert_into(AlertEvent).values(msgspec.structs.asdict(event)).on_conflict_do_nothing())
    mark_changed(connection, ALERTS)


def find_keys(connection: ReadConnection, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that events have."""
    return set(connection.scalars(_find_keys, {"keys": list(keys)})) if keys else set()


def is_waiting(connection: ReadConnection, kind: str, subject: str) -> bool:
    """Whether an event of a kind about a subject is to be routed."""
    of_subject = (AlertEvent.kind == kind, AlertEvent.subject == subject)
    return connection.scalar(select(AlertEvent.id).where(_is_unrouted, *of_subject).limit(1)) is not None


def find_unrouted(connection: ReadConnection, most: int) -> Sequence[EventRow]:
    """Return events that are to be routed, in order."""
    return all_rows(connection, EventRow, _find_unrouted, most=most)


def get(connection: ReadConnection, event_id: int) -> EventRow | None:
    """Return an event."""
    return first_row(connection, EventRow, _select.where(AlertEvent.id == event_id))


def has_unrouted(connection: ReadConnection) -> bool:
    """Whether an event is to be routed."""
    return connection.scalar(select(AlertEvent.id).where(_is_unrouted).limit(1)) is not None


def set_routed(connection: WriteConnection, event_id: int, at: datetime, outcome: str) -> None:
    """Store what came of an event."""
    connection.execute(update(AlertEvent).where(AlertEvent.id == event_id).values(routed_at=at, outcome=outcome))


def find_success_after(connection: ReadConnection, event: EventRow) -> datetime | None:
    """Return when a run of the event's DAG, begun after the event's run, succeeded later; None if none did.

    Those whose own event is to be routed do not count. A success that was committed beside the failure has none.
    """
    since = event.run_created_at or event.at
    values = {"dag": event.subject, "since": since, "at": event.at, "run": event.run_id or 0}
    found: datetime | None = connection.scalar(_find_success, values)
    return found
