"""Checks of alerts: what is to be told was stored, is routed, and is sent."""

from __future__ import annotations

from sqlalchemy import Text, and_, exists, func, or_, select, type_coerce
from sqlalchemy.orm import aliased

from dagbook.db.models import Alert, AlertChannel, AlertDelivery, AlertEvent, AlertRule, Run, RunAttempt
from dagbook.db.repositories.invariants.check import ATTEMPT, Check, a_server_works, ago

_FAILED = 2
_AN_HOUR = 3600  # between two messages of a channel
_EVENT = (AlertEvent.key, AlertEvent.kind, AlertEvent.subject)
_DELIVERY = (AlertDelivery.id, AlertDelivery.channel, AlertDelivery.purpose)
_other = aliased(AlertDelivery)
_oldest_rule = select(func.min(AlertRule.created_at)).where(AlertRule.enabled).scalar_subquery()
_is_pending = AlertDelivery.status == "pending"
# A channel that fails tries its oldest message alone, and the others wait.
_waits_for_another = exists().where(
    _other.status == "pending",
    _other.tries > 0,
    or_(
        _other.channel_id == AlertDelivery.channel_id,
        and_(AlertDelivery.channel_id.is_(None), _other.channel_id.is_(None), _other.channel == AlertDelivery.channel),
    ),
)

CHECKS = (
    Check(
        name="failure-has-its-event",
        holds="A failed attempt of a root run has its event, if there was a rule of alerts.",
        broken=select(*ATTEMPT)
        .join(RunAttempt, RunAttempt.run_id == Run.id)
        .where(
            RunAttempt.status == _FAILED,
            RunAttempt.closed_at >= _oldest_rule,
            RunAttempt.closed_at >= ago("events_since"),
            RunAttempt.owner.is_not(None),  # of an imported run it is NULL
            Run.root_id.is_(None),
            ~exists().where(
                AlertEvent.run_id == Run.id, AlertEvent.attempt == RunAttempt.number, AlertEvent.kind == "failed"
            ),
        ),
    ),
    Check(
        name="event-is-routed",
        holds="While a server works, an event of alerts is routed within ten minutes.",
        broken=select(*_EVENT).where(
            AlertEvent.routed_at.is_(None), AlertEvent.at < ago("ten_minutes_ago"), a_server_works()
        ),
    ),
    Check(
        name="message-is-tried",
        holds="While a server works, a message is tried within an hour, unless its channel fails.",
        broken=select(*_DELIVERY)
        .outerjoin(AlertChannel, AlertChannel.id == AlertDelivery.channel_id)
        .where(
            _is_pending,
            AlertDelivery.tries == 0,
            AlertDelivery.lease_owner.is_(None),
            AlertDelivery.due_at < ago("hour_ago"),
            or_(AlertChannel.next_try_at.is_(None), AlertChannel.next_try_at < ago("hour_ago")),
            or_(AlertChannel.id.is_(None), AlertChannel.interval_seconds < _AN_HOUR),
            ~_waits_for_another,
            a_server_works(),
        ),
    ),
    Check(
        name="one-open-alert",
        holds="At most one alert of a kind about a subject is open.",
        broken=select(Alert.kind, Alert.subject_kind, Alert.subject, func.count().label("alerts"))
        .where(Alert.closed_at.is_(None))
        .group_by(Alert.kind, Alert.subject_kind, Alert.subject)
        .having(func.count() > 1),
    ),
    Check(
        name="sent-message-has-its-answer",
        holds="A message that was sent has the answer of its receiver.",
        broken=select(*_DELIVERY).where(
            AlertDelivery.status == "sent", type_coerce(AlertDelivery.attempts, Text) == "[]"
        ),
    ),
)
