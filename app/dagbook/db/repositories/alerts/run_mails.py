"""Mails of definitions, and traces: deliveries without a channel, each for an attempt of a run.

The process that stores a mail has its lease, and sends it first. What that did not deliver is sent by a server, as are
traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import and_, bindparam, func, or_, select, update

from dagbook.db.database import ALERTS, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.alert import AlertDelivery
from dagbook.db.prepared import Prepared
from dagbook.db.repositories.alerts import events
from dagbook.db.repositories.alerts.deliveries import PENDING, RUN_MAIL, TRACE, Attempt, DeliveryRow, find_where
from dagbook.db.statements import all_rows, insert_into

_FIRST_TRY = timedelta(days=1)  # its evaluation may take a while; the leases of a process that dies are ended
_TRY = timedelta(seconds=130)  # 40 s longer than it can last: servers end the leases of processes that look dead then


class NewRunMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail or a trace to store: the server or the receiver as the definition writes it; a mail has a name."""

    id: str
    run_id: int
    attempt: int
    mail: str | None = None
    channel: str
    created_at: datetime
    due_at: datetime
    lease_owner: str | None = None
    lease_until: datetime | None = None
    type: str = "mail"
    purpose: str = RUN_MAIL
    number: int = 0
    status: str = PENDING
    attempts: tuple[Attempt, ...] = ()


class WaitingMails(msgspec.Struct, frozen=True, kw_only=True):
    """A mail server, or a receiver of traces, for which no process is sending, and when the first of them is due."""

    channel: str
    due_at: datetime


_add = Prepared(insert_into(AlertDelivery).on_conflict_do_nothing())
_is_pending = and_(AlertDelivery.purpose.in_((RUN_MAIL, TRACE)), AlertDelivery.status == PENDING)
_is_free = or_(AlertDelivery.lease_until.is_(None), AlertDelivery.lease_until <= bindparam("now"))
_find_waiting = (
    select(AlertDelivery.channel, func.min(AlertDelivery.due_at).label("due_at"))
    # Also of the partial index of pending rows.
    .where(AlertDelivery.channel_id.is_(None), _is_pending, _is_free)
    .group_by(AlertDelivery.channel)
)
_find_next = (
    select(AlertDelivery.id)
    .where(
        AlertDelivery.channel_id.is_(None),
        _is_pending,
        _is_free,
        AlertDelivery.channel == bindparam("channel"),
        AlertDelivery.due_at <= bindparam("now"),
    )
    .order_by(AlertDelivery.due_at, AlertDelivery.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def new(mail_id: str, run: tuple[int, int], mail: str, channel: str, owner: str, at: datetime) -> NewRunMail:
    """Return a mail for an attempt, (key of the run, number), that a process is about to send."""
    return NewRunMail(
        id=mail_id,
        run_id=run[0],
        attempt=run[1],
        mail=mail,
        channel=channel,
        created_at=at,
        due_at=at,
        lease_owner=owner,
        lease_until=at + _FIRST_TRY,
    )


def new_trace(trace_id: str, run: tuple[int, int], receiver: str, at: datetime) -> NewRunMail:
    """Return the trace of an attempt that ends, (key of the run, number), which any server may send."""
    return NewRunMail(
        id=trace_id,
        run_id=run[0],
        attempt=run[1],
        channel=receiver,
        created_at=at,
        due_at=at,
        type=TRACE,
        purpose=TRACE,
    )


def add(connection: WriteConnection, mails: Sequence[NewRunMail]) -> None:
    """Store mails, each once for an attempt, and traces."""
    _add.execute_many(connection, mails)
    if any(mail.purpose == TRACE for mail in mails):
        mark_changed(connection, ALERTS)


def take(connection: WriteConnection, mail_id: str, owner: str, now: datetime) -> bool:
    """Count the first try of a mail that this process stored; False if it has lost the lease."""
    now = events.read_time(connection, now)
    own = (AlertDelivery.id == mail_id, AlertDelivery.lease_owner == owner, _is_pending)
    statement = update(AlertDelivery).where(*own).values(lease_until=now + _TRY, tries=AlertDelivery.tries + 1)
    return connection.execute(statement).rowcount == 1


def release(connection: WriteConnection, mail_id: str, owner: str) -> None:
    """End the lease of a mail without a try."""
    own = (AlertDelivery.id == mail_id, AlertDelivery.lease_owner == owner, _is_pending)
    connection.execute(update(AlertDelivery).where(*own).values(lease_owner=None, lease_until=None))


def end_leases(connection: WriteConnection, owner: str) -> None:
    """End the leases of a process that sends no mails any more."""
    own = (AlertDelivery.lease_owner == owner, _is_pending)
    connection.execute(update(AlertDelivery).where(*own).values(lease_owner=None, lease_until=None))
    mark_changed(connection, ALERTS)


def find_waiting(connection: ReadConnection, now: datetime) -> Sequence[WaitingMails]:
    """Return the mail servers and receivers of traces that something waits for."""
    return all_rows(connection, WaitingMails, _find_waiting, now=events.read_time(connection, now))


def claim(connection: WriteConnection, channel: str, owner: str, now: datetime) -> DeliveryRow | None:
    """Lease the oldest one that is due for a mail server or receiver, for a try that is counted now; None without."""
    now = events.read_time(connection, now)
    mail_id = connection.scalar(_find_next, {"channel": channel, "now": now})
    if mail_id is None:
        return None
    leased = {"lease_owner": owner, "lease_until": now + _TRY, "tries": AlertDelivery.tries + 1}
    connection.execute(update(AlertDelivery).where(AlertDelivery.id == mail_id).values(leased))
    return next(iter(find_where(connection, AlertDelivery.id == mail_id)))
