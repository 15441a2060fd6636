"""Events of alerts about triggers, in the commit in which an event of a trigger is dead, or its looks fail."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, exists, select

from dagbook.db.database import WriteConnection
from dagbook.db.models.alert import AlertRule
from dagbook.db.models.trigger import Trigger
from dagbook.db.repositories.alerts import events
from dagbook.db.repositories.alerts.events import NewEvent
from dagbook.json_values import Json

KIND = "trigger"  # of the alert, and of what it is about
_LONGEST = 300  # characters of a reason
_get_name = select(Trigger.name).where(Trigger.id == bindparam("trigger"), exists().where(AlertRule.enabled))


def add(connection: WriteConnection, trigger_id: int, key: str, reason: str, at: datetime) -> None:
    """Add the event that a trigger has failed, once for a key, if there is a rule of alerts."""
    name = connection.scalar(_get_name, {"trigger": trigger_id})
    if name is not None:
        data: dict[str, Json] = {"reason": reason[:_LONGEST]}
        event = NewEvent(key=f"trigger/{key}", at=at, kind=KIND, subject_kind=KIND, subject=name, data=data)
        events.add_new(connection, event)
