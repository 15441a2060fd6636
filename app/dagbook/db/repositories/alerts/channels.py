"""Channels of alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import and_, bindparam, case, delete, func, or_, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.alert import AlertChannel, AlertDelivery, AlertRule, AlertTarget
from dagbook.db.statements import all_rows, columns, first_row, insert_into
from dagbook.json_values import Json


class NewChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel to store."""

    name: str
    type: str
    settings: Mapping[str, Json]
    sealed: bytes | None = None
    enabled: bool = True
    shared: bool = False
    configured: bool = False
    interval_seconds: int = 0
    every_seconds: int | None = None


class ChannelRow(NewChannel, frozen=True, kw_only=True):
    """A channel with its state."""

    id: int
    sealed_before: bytes | None
    sealed_before_until: datetime | None
    failing_since: datetime | None
    next_try_at: datetime | None
    last_sent_at: datetime | None
    last_alert_at: datetime | None


class PendingChannel(ChannelRow, frozen=True, kw_only=True):
    """A channel, and when the first message that waits for it is due."""

    due_at: datetime
    fresh_tests: int  # tests that were not tried yet, which wait for nothing


_select = select(*columns(AlertChannel, ChannelRow))
_get = _select.where(AlertChannel.name == bindparam("name"))
_find_beating = _select.where(AlertChannel.enabled, AlertChannel.every_seconds.is_not(None)).order_by(AlertChannel.id)
_lock = _select.where(AlertChannel.id == bindparam("id"))
_is_fresh_test = and_(AlertDelivery.purpose == "test", AlertDelivery.tries == 0)
_find_pending = (
    select(
        *columns(AlertChannel, ChannelRow),
        func.min(AlertDelivery.due_at).label("due_at"),
        func.sum(case((_is_fresh_test, 1), else_=0)).label("fresh_tests"),
    )
    .join(AlertDelivery, AlertDelivery.channel_id == AlertChannel.id)
    .where(
        AlertDelivery.status == "pending",
        or_(
            AlertDelivery.lease_until.is_(None),
            AlertDelivery.lease_until <= bindparam("now"),
            AlertDelivery.lease_owner == bindparam("owner"),
        ),
    )
    .group_by(AlertChannel.id)
)
_find_users = (
    select(AlertRule.name)
    .join(AlertTarget, AlertTarget.rule_id == AlertRule.id)
    .where(AlertTarget.channel_id == bindparam("id"))
    .order_by(AlertRule.name)
)


def find(connection: ReadConnection) -> Sequence[ChannelRow]:
    """Return all channels, by name."""
    return all_rows(connection, ChannelRow, _select.order_by(AlertChannel.name))


def find_failing(connection: ReadConnection, *, shared_only: bool) -> list[str]:
    """Return the names of the enabled channels whose receivers do not accept messages, or of the shared ones alone."""
    statement = select(AlertChannel.name).where(AlertChannel.failing_since.is_not(None), AlertChannel.enabled)
    statement = statement.where(AlertChannel.shared) if shared_only else statement
    return list(connection.scalars(statement.order_by(AlertChannel.name)))


def find_beating(connection: ReadConnection) -> list[ChannelRow]:
    """Return the channels that get heartbeats."""
    return all_rows(connection, ChannelRow, _find_beating)


def get(connection: ReadConnection, name: str) -> ChannelRow | None:
    """Return a channel by name."""
    return first_row(connection, ChannelRow, _get, name=name)


def lock(connection: WriteConnection, channel_id: int, *, waits: bool = False) -> ChannelRow | None:
    """Lock a channel until the end of the transaction, so that one server at a time sends to it; None if it is gone.

    None too while another server has it locked, unless this ``waits`` for that.
    """
    # Without the key, of which each delivery that is added takes a lock.
    statement = _lock.with_for_update(skip_locked=not waits, key_share=True)
    return first_row(connection, ChannelRow, statement, id=channel_id)


def find_pending(connection: ReadConnection, owner: str, now: datetime) -> Sequence[PendingChannel]:
    """Return the channels that messages wait for which no server but ``owner`` is sending."""
    return all_rows(connection, PendingChannel, _find_pending, owner=owner, now=now)


def add(connection: WriteConnection, channel: NewChannel) -> bool:
    """Store a channel; False when its name is taken."""
    values = msgspec.structs.asdict(channel)
    added = insert_into(AlertChannel).values(values).on_conflict_do_nothing(index_elements=["name"])
    return connection.execute(added.returning(AlertChannel.id)).scalar() is not None


def change(connection: WriteConnection, channel_id: int, **values: object) -> None:
    """Set columns of a channel."""
    connection.execute(update(AlertChannel).where(AlertChannel.id == channel_id).values(values))


def remove(connection: WriteConnection, channel_id: int) -> None:
    """Delete a channel that no rule uses; its deliveries stay with its name."""
    connection.execute(delete(AlertChannel).where(AlertChannel.id == channel_id))


def find_users(connection: ReadConnection, channel_id: int) -> list[str]:
    """Return the names of the rules that use a channel."""
    return list(connection.scalars(_find_users, {"id": channel_id}))
