"""Deliveries of alerts: messages for channels, their leases, tries and receipts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, Executable, and_, bindparam, case, func, or_, select, update
from sqlalchemy.orm import aliased

from dagbook import tries
from dagbook.db.database import ALERTS, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.alert import Alert, AlertChannel, AlertDelivery, AlertEvent
from dagbook.db.models.run import Run
from dagbook.db.models.service import Service
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.statements import all_rows, columns, insert_into
from dagbook.identifiers import new_run_id
from dagbook.tries import Answer, Fate

PENDING, SENT, FAILED, DROPPED = "pending", "sent", "failed", "dropped"
OPENED, REMINDER, CLOSED, TEST, RUN_MAIL, TRACE = "opened", "reminder", "closed", "test", "run_mail", "trace"
_KEPT = 10  # tries of a delivery


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try: when it ended, how long it took, and the answer; ``server`` is the host that sent it."""

    at: datetime
    ms: int
    code: int = 0
    text: str = ""
    server: str = ""


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send."""

    channel_id: int | None
    channel: str
    type: str
    purpose: str
    due_at: datetime
    number: int = 0
    alert_id: int | None = None
    event_id: int | None = None
    run_id: int | None = None
    attempt: int | None = None
    mail: str | None = None
    delay_seconds: int = 0
    remind_seconds: int = 0


class DeliveryRow(NewDelivery, frozen=True, kw_only=True):
    """A message with its tries, the newest last, and the DAG that it is about.

    ``next_try_at`` and ``shared`` are those of its channel, None if it was removed; ``attempt`` and ``mail`` those of a
    mail of a definition.
    """

    id: str
    attempt: int | None
    mail: str | None
    status: str
    reason: str | None
    tries: int
    sent_at: datetime | None
    attempts: tuple[Attempt, ...]
    dag: str | None
    next_try_at: datetime | None
    shared: bool | None


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are listed: with a status, about a DAG, before one, visible to a caller."""

    status: str = ""
    dag: str = ""
    before: str = ""
    visibility: Visibility = EVERYTHING


class WaitingSince(msgspec.Struct, frozen=True, kw_only=True):
    """When the oldest message for a channel was due, and the interval that it waits for; of mails, no channel."""

    due_at: datetime
    interval_seconds: int | None
    last_alert_at: datetime | None

    @property
    def since(self) -> datetime:
        """When it could be sent."""
        if self.last_alert_at is None or self.interval_seconds is None:
            return self.due_at
        return max(self.due_at, self.last_alert_at + timedelta(seconds=self.interval_seconds))


_find_waiting = (
    select(func.min(AlertDelivery.due_at).label("due_at"), AlertChannel.interval_seconds, AlertChannel.last_alert_at)
    .outerjoin(AlertChannel, AlertChannel.id == AlertDelivery.channel_id)
    .where(AlertDelivery.status == PENDING, AlertDelivery.purpose != TRACE)
    .group_by(AlertDelivery.channel_id, AlertChannel.interval_seconds, AlertChannel.last_alert_at)
)
_dag = func.coalesce(Run.dag_name, case((Alert.subject_kind == "dag", Alert.subject)))
_select = (
    select(*columns(AlertDelivery, DeliveryRow), _dag.label("dag"), AlertChannel.next_try_at, AlertChannel.shared)
    .outerjoin(AlertChannel, AlertChannel.id == AlertDelivery.channel_id)
    .outerjoin(Alert, Alert.id == AlertDelivery.alert_id)
    .outerjoin(Run, Run.id == AlertDelivery.run_id)
)
_oldest_first = (AlertDelivery.created_at, AlertDelivery.id)
_is_pending = and_(AlertDelivery.channel_id == bindparam("channel"), AlertDelivery.status == PENDING)
_find_due = (
    _select.where(_is_pending, AlertDelivery.due_at <= bindparam("now"))
    .order_by(AlertDelivery.due_at, AlertDelivery.id)
    .limit(bindparam("most"))
)
_is_leased = and_(AlertDelivery.lease_until > bindparam("now"), AlertDelivery.lease_owner != bindparam("owner"))
_find_leased = select(AlertDelivery.id).where(_is_pending, _is_leased).limit(1)
_counted = aliased(Alert)
# An alert that a run was counted in was reported before it.
_counting = (
    select(_counted.id)
    .join(AlertEvent, and_(AlertEvent.kind == _counted.kind, AlertEvent.subject == _counted.subject))
    .where(
        AlertEvent.run_id == bindparam("run"),
        _counted.opened_at <= AlertEvent.at,
        or_(_counted.closed_at.is_(None), _counted.closed_at >= AlertEvent.at),
    )
)
_find_of_run = _select.where(
    or_(AlertDelivery.run_id == bindparam("run"), AlertDelivery.alert_id.in_(_counting)), AlertDelivery.purpose != TEST
).order_by(*_oldest_first)


def add(connection: WriteConnection, new: Sequence[NewDelivery], at: datetime) -> int:
    """Store messages, each once; returns how many were not there."""
    more = {"created_at": at, "status": PENDING, "attempts": []}
    rows = [{"id": new_run_id(), **msgspec.structs.asdict(each), **more} for each in new]
    if not rows:
        return 0
    added = insert_into(AlertDelivery).on_conflict_do_nothing().returning(AlertDelivery.id)
    mark_changed(connection, ALERTS)
    return len(connection.execute(added, rows).all())


def drop(connection: WriteConnection, reason: str, *conditions: ColumnElement[bool]) -> None:
    """Drop pending messages that are not being sent."""
    waiting = (AlertDelivery.status == PENDING, AlertDelivery.lease_owner.is_(None))
    connection.execute(update(AlertDelivery).where(*waiting, *conditions).values(status=DROPPED, reason=reason))


def drop_leased(connection: WriteConnection, ids: Collection[str], owner: str, reason: str) -> None:
    """Drop messages that this process has leased, and does not send."""
    leased = (AlertDelivery.id.in_(sorted(ids)), AlertDelivery.status == PENDING, AlertDelivery.lease_owner == owner)
    dropped = {"status": DROPPED, "reason": reason, "lease_owner": None, "lease_until": None}
    connection.execute(update(AlertDelivery).where(*leased).values(dropped))


def drop_of_channel(connection: WriteConnection, channel_id: int, reason: str) -> None:
    """Drop what waits for a channel."""
    drop(connection, reason, AlertDelivery.channel_id == channel_id)


def drop_late(connection: WriteConnection, alert_id: int, reason: str) -> None:
    """Drop the reminders and escalations of an alert that has ended, or that was acknowledged."""
    late = and_(AlertDelivery.purpose == OPENED, AlertDelivery.delay_seconds > 0)
    drop(connection, reason, AlertDelivery.alert_id == alert_id, or_(AlertDelivery.purpose == REMINDER, late))


def drop_closings(connection: WriteConnection, alert_id: int, reason: str) -> None:
    """Drop the messages about the end of an alert that goes on."""
    drop(connection, reason, AlertDelivery.alert_id == alert_id, AlertDelivery.purpose == CLOSED)


def next_number(connection: ReadConnection, alert_id: int, purpose: str) -> int:
    """Return the number of the next message of a purpose about an alert."""
    of_purpose = (AlertDelivery.alert_id == alert_id, AlertDelivery.purpose == purpose)
    found = connection.scalar(select(func.max(AlertDelivery.number)).where(*of_purpose))
    return 0 if found is None else int(found) + 1


# -- sending ---------------------------------------------------------------------------------------------------------


def find_due(connection: ReadConnection, channel_id: int, now: datetime, most: int) -> list[DeliveryRow]:
    """Return what is due for a channel, the oldest first."""
    return _rows(connection, _find_due, channel=channel_id, now=now, most=most)


def find_waiting(connection: ReadConnection) -> list[WaitingSince]:
    """Return since when messages for people wait that are due."""
    return all_rows(connection, WaitingSince, _find_waiting)


def is_sending(connection: ReadConnection, channel_id: int, owner: str, now: datetime) -> bool:
    """Whether another server is sending to a channel: a lease of ``owner`` is from a commit that it saw fail."""
    return connection.scalar(_find_leased, {"channel": channel_id, "owner": owner, "now": now}) is not None


def lease(connection: WriteConnection, ids: Collection[str], owner: str, until: datetime) -> None:
    """Take messages for a try, which is counted now: a crash while it lasts must not hide it."""
    taken = {"lease_owner": owner, "lease_until": until, "tries": AlertDelivery.tries + 1}
    connection.execute(update(AlertDelivery).where(AlertDelivery.id.in_(sorted(ids))).values(taken))


def settle(
    connection: WriteConnection,
    message_id: str,
    before: Sequence[Attempt],
    owner: str,
    answer: Answer,
    attempt: Attempt,
) -> Fate | None:
    """Store the answer to a try that follows others, and what it decides; None if the lease of the message is lost."""
    fate = tries.decide(answer, 1 + sum(each.code == answer.code for each in before))
    values: dict[str, object] = {}
    match fate:
        case Fate.SENT:
            values = {"status": SENT, "sent_at": attempt.at}
        case Fate.RETRY:
            values = {"due_at": attempt.at + tries.own_pause(len(before) + 1)}
        case Fate.GIVEN_UP:
            values = {"status": FAILED, "reason": "the receiver refuses it"}
    statement = (
        update(AlertDelivery)
        .where(AlertDelivery.id == message_id, AlertDelivery.status == PENDING, AlertDelivery.lease_owner == owner)
        .values(lease_owner=None, lease_until=None, attempts=(*before, attempt)[-_KEPT:], **values)
    )
    return fate if connection.execute(statement).rowcount == 1 else None


def postpone(connection: WriteConnection, alert_id: int, channel_id: int, until: datetime) -> None:
    """Keep the order of the messages about an alert to a channel: none before one that is tried again."""
    of_alert = (AlertDelivery.alert_id == alert_id, AlertDelivery.channel_id == channel_id)
    sooner = (AlertDelivery.status == PENDING, AlertDelivery.due_at < until)
    connection.execute(update(AlertDelivery).where(*of_alert, *sooner).values(due_at=until))


def expire(connection: WriteConnection, channel: int | str, before: datetime) -> int:
    """Give up what has been due since before a time, for a channel, or a mail server of definitions, that fails.

    Returns how many messages.
    """
    if isinstance(channel, int):
        of_channel = [AlertDelivery.channel_id == channel]
    else:
        of_channel = [AlertDelivery.channel_id.is_(None), AlertDelivery.channel == channel]
    old = (AlertDelivery.status == PENDING, AlertDelivery.due_at < before, AlertDelivery.lease_owner.is_(None))
    given_up = {"status": FAILED, "reason": "the receiver has not answered for a day"}
    return connection.execute(update(AlertDelivery).where(*of_channel, *old).values(given_up)).rowcount


def find_lost_owners(connection: ReadConnection, owner: str, now: datetime, until: datetime) -> list[str]:
    """Return the processes that have leases and are dead: on SQLite all but this one, which has the file alone.

    Elsewhere those without a lease of their own count as dead, which is by their clock: one that is late by its clock
    may still be sending what it leased for longer than ``until``.
    """
    of_others = (AlertDelivery.status == PENDING, AlertDelivery.lease_owner != owner)
    statement = select(AlertDelivery.lease_owner).where(*of_others).distinct()
    if connection.dialect.name == "postgresql":
        alive = select(Service.id).where(Service.stopped_at.is_(None), Service.lease_until > now)
        # A mail of a definition that was not tried yet is nowhere on its way.
        is_not_tried = and_(AlertDelivery.purpose == RUN_MAIL, AlertDelivery.tries == 0)
        is_over = or_(AlertDelivery.lease_until <= until, is_not_tried)
        statement = statement.where(AlertDelivery.lease_owner.not_in(alive), is_over)
    return [found for found in connection.scalars(statement) if found is not None]


def end_leases(connection: WriteConnection, owner: str) -> None:
    """End the leases of a process that sends nothing any more."""
    leased = (AlertDelivery.status == PENDING, AlertDelivery.lease_owner == owner)
    connection.execute(update(AlertDelivery).where(*leased).values(lease_owner=None, lease_until=None))


def resend(connection: WriteConnection, delivery_id: str, now: datetime) -> bool:
    """Make a finished message pending again, under its id; False for one that is pending."""
    again = {"status": PENDING, "sent_at": None, "reason": None, "tries": 0, "due_at": now}
    finished = (AlertDelivery.id == delivery_id, AlertDelivery.status != PENDING)
    statement = update(AlertDelivery).where(*finished).values(**again, resends=AlertDelivery.resends + 1)
    mark_changed(connection, ALERTS)
    return connection.execute(statement).rowcount == 1


def find_oldest_due(connection: ReadConnection, now: datetime) -> datetime | None:
    """Return since when a message for people is due that was not sent."""
    is_waiting = (AlertDelivery.status == PENDING, AlertDelivery.purpose != TRACE)
    statement = select(func.min(AlertDelivery.due_at)).where(*is_waiting)
    found: datetime | None = connection.scalar(statement)
    return None if found is None or found > now else found


# -- reading ---------------------------------------------------------------------------------------------------------


def get(connection: ReadConnection, delivery_id: str, visibility: Visibility = EVERYTHING) -> DeliveryRow | None:
    """Return a visible message."""
    visible = dag_access.narrow(_dag, visibility)
    return next(iter(_rows(connection, _select.where(AlertDelivery.id == delivery_id, *visible))), None)


def find_of_run(connection: ReadConnection, run: int) -> list[DeliveryRow]:
    """Return what was sent, or is to be, about a run, the oldest first."""
    return _rows(connection, _find_of_run, run=run)


def find_of_alerts(connection: ReadConnection, alert_ids: Collection[int]) -> list[DeliveryRow]:
    """Return the messages about alerts, the oldest first."""
    return find_where(connection, AlertDelivery.alert_id.in_(sorted(alert_ids))) if alert_ids else []


def find_of_event(connection: ReadConnection, event_id: int) -> list[DeliveryRow]:
    """Return the messages that an event has caused."""
    return find_where(connection, AlertDelivery.event_id == event_id)


def find_page(connection: ReadConnection, wanted: DeliveryFilter, most: int) -> list[DeliveryRow]:
    """Return a page of messages, the newest first: their ids grow with time."""
    conditions = dag_access.narrow(_dag, wanted.visibility)
    if wanted.status:
        conditions.append(AlertDelivery.status == wanted.status)
    if wanted.dag:
        conditions.append(_dag == wanted.dag)
    if wanted.before:
        conditions.append(AlertDelivery.id < wanted.before)
    return _rows(connection, _select.where(*conditions).order_by(AlertDelivery.id.desc()).limit(most))


def find_where(connection: ReadConnection, condition: ColumnElement[bool]) -> list[DeliveryRow]:
    """Return the messages for which a condition holds, the oldest first."""
    return _rows(connection, _select.where(condition).order_by(*_oldest_first))


def _rows(connection: ReadConnection, statement: Executable, **values: object) -> list[DeliveryRow]:
    return msgspec.convert([dict(row) for row in connection.execute(statement, values).mappings()], list[DeliveryRow])
