"""What becomes of alerts apart from routing and sending: after a restore, and at the end of their retention."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, case, delete, exists, literal, or_, select, update
from sqlalchemy.orm import aliased

from dagbook.db.database import WriteConnection
from dagbook.db.models.alert import Alert, AlertChannel, AlertDelivery, AlertEvent
from dagbook.db.models.definition import Dag
from dagbook.db.repositories.alerts.alerts import DAG, RESTORED
from dagbook.db.repositories.alerts.deliveries import DROPPED, PENDING
from dagbook.db.types import UtcDateTime

_is_open, _is_pending = Alert.closed_at.is_(None), AlertDelivery.status == PENDING


class Ended(NamedTuple):
    """The number of messages that were dropped, and of alerts that were closed."""

    dropped: int
    closed: int


def end_restored(connection: WriteConnection, at: datetime) -> Ended:
    """End what a backup has of its original, which routes these events and sends these messages."""
    routed = {"routed_at": at, "outcome": RESTORED}
    connection.execute(update(AlertEvent).where(AlertEvent.routed_at.is_(None)).values(routed))
    dropped = {"status": DROPPED, "reason": RESTORED, "lease_owner": None, "lease_until": None}
    messages = connection.execute(update(AlertDelivery).where(_is_pending).values(dropped))
    # The clock of the original may have been ahead.
    closed = {
        "closed_at": case((Alert.opened_at > at, Alert.opened_at), else_=literal(at, UtcDateTime)),
        "closed_by": RESTORED,
    }
    alerts = connection.execute(update(Alert).where(_is_open).values(closed))
    connection.execute(update(AlertChannel).values(failing_since=None, next_try_at=None))
    return Ended(messages.rowcount, alerts.rowcount)


def rename(connection: WriteConnection, old: str, new: str) -> None:
    """Let the open alerts of a DAG follow its new name, unless another DAG has the old one."""
    other = aliased(Alert)
    of_dag = (_is_open, Alert.subject_kind == DAG, Alert.subject == old)
    is_open_there = exists().where(
        other.closed_at.is_(None), other.kind == Alert.kind, other.subject_kind == DAG, other.subject == new
    )
    of_another = exists().where(Dag.dag_name == old)
    connection.execute(update(Alert).where(*of_dag, ~is_open_there, ~of_another).values(subject=new))


def remove_past(connection: WriteConnection, before: datetime, most: int) -> int:
    """Delete alerts that ended before a time with their messages, and old messages without one and events.

    At most some of each; returns how many rows these were. What is open or pending stays.
    """
    is_needed = exists().where(AlertDelivery.alert_id == Alert.id, or_(_is_pending, AlertDelivery.sent_at >= before))
    of_none = (AlertDelivery.alert_id.is_(None), AlertDelivery.created_at < before)
    is_over = (~_is_pending, or_(AlertDelivery.sent_at.is_(None), AlertDelivery.sent_at < before))
    return (
        _delete(connection, Alert, most, Alert.closed_at < before, ~is_needed)
        + _delete(connection, AlertDelivery, most, *of_none, *is_over)
        + _delete(connection, AlertEvent, most, AlertEvent.routed_at < before)
    )


def _delete(
    connection: WriteConnection,
    model: type[Alert | AlertDelivery | AlertEvent],
    most: int,
    *conditions: ColumnElement[bool],
) -> int:
    chosen = select(model.id).where(*conditions).limit(most)
    return connection.execute(delete(model).where(model.id.in_(chosen))).rowcount
