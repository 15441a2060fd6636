"""What becomes of events of triggers apart from their runs: after a restore, and at the end of their retention."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, delete, exists, or_, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.trigger import IS_WAITING, Trigger, TriggerEvent
from dagbook.db.repositories.triggers.events import DEAD, WAITING

_RESTORED = "restored: the original may have started it"
_is_settled, _has_body = TriggerEvent.state != WAITING, TriggerEvent.body.is_not(None)


def mark_restored(connection: WriteConnection) -> None:
    """Mark the events that wait in a backup; those that are received from now on have no reason."""
    connection.execute(update(TriggerEvent).where(IS_WAITING).values(reason=_RESTORED))


def end_restored(connection: WriteConnection, at: datetime) -> int:
    """Let the events be dead that waited in the backup, or follow a run: those that end now have not ended so.

    Returns how many these were.
    """
    follows = TriggerEvent.trigger_id.in_(select(Trigger.id).where(Trigger.kind == "after"))
    dead = update(TriggerEvent).where(IS_WAITING, or_(TriggerEvent.reason == _RESTORED, follows))
    return connection.execute(dead.values(state=DEAD, reason=_RESTORED, settled_at=at)).rowcount


def find_past(connection: ReadConnection, bodies_before: datetime, before: datetime) -> Sequence[int]:
    """Return the triggers that have settled events from before a time, or with bodies from before another one."""
    settled = (TriggerEvent.trigger_id == Trigger.id, _is_settled)
    is_past = exists().where(*settled, TriggerEvent.received_at < before)
    has_body = exists().where(*settled, TriggerEvent.received_at < bodies_before, _has_body)
    return connection.scalars(select(Trigger.id).where(or_(is_past, has_body)).order_by(Trigger.id)).all()


def drop_bodies(connection: WriteConnection, trigger_id: int, before: datetime, most: int) -> int:
    """Drop the bodies of settled events from before a time; returns how many."""
    oldest = _oldest(trigger_id, before, most).where(_has_body)
    return connection.execute(update(TriggerEvent).where(TriggerEvent.id.in_(oldest)).values(body=None)).rowcount


def remove_past(connection: WriteConnection, trigger_id: int, before: datetime, most: int) -> int:
    """Delete settled events from before a time, whose keys are promised no longer; returns how many."""
    oldest = _oldest(trigger_id, before, most)
    return connection.execute(delete(TriggerEvent).where(TriggerEvent.id.in_(oldest))).rowcount


def _oldest(trigger_id: int, before: datetime, most: int) -> Select[str]:
    past = (TriggerEvent.trigger_id == trigger_id, TriggerEvent.received_at < before, _is_settled)
    return select(TriggerEvent.id).where(*past).order_by(TriggerEvent.received_at).limit(most)
