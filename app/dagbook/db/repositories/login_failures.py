"""Counts of failed logins, and the networks that users have logged in from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, case, delete, exists, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dagbook.db.database import ReadConnection, WriteConnection, all_rows
from dagbook.db.models.user import LoginAddress, LoginFailure, User
from dagbook.db.types import UtcDateTime

_MAX_NETWORKS = 20  # of one user


class FailureCount(msgspec.Struct, frozen=True, kw_only=True):
    """The failures of one key; a count is void from ``expires_at``."""

    key: str
    count: int
    last_at: datetime
    expires_at: datetime


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a network: whether this user has logged in from it, and whether any has."""

    is_users: bool
    is_known: bool


_columns = tuple(LoginFailure.__table__.columns)
# Made once: an attempt that is refused costs little more than these two.
_find = select(*_columns).where(
    LoginFailure.key.in_(bindparam("keys", expanding=True)), LoginFailure.expires_at > bindparam("at")
)
_is_recent = (LoginAddress.network == bindparam("network")) & (LoginAddress.last_login_at >= bindparam("since"))
_find_origin = select(
    exists().where(LoginAddress.user_id == bindparam("user_id"), _is_recent).label("is_users"),
    exists().where(_is_recent).label("is_known"),
)


def find(connection: ReadConnection, keys: Collection[str], at: datetime) -> dict[str, FailureCount]:
    """Return the counts that hold at a time, by key."""
    return {row.key: row for row in all_rows(connection, FailureCount, _find, keys=list(keys), at=at)}


def add(
    connection: WriteConnection, counts: Mapping[str, int], at: datetime, expires_at: datetime, *, extends: bool
) -> dict[str, FailureCount]:
    """Add failures and return the counts after it, in one statement, which other servers' wait for.

    A count that has expired starts again; another one expires later than before only if the addition ``extends`` it.
    """
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # In the order of keys, so that two transactions do not wait for each other's rows.
    rows = [
        {"key": key, "count": count, "last_at": at, "expires_at": expires_at} for key, count in sorted(counts.items())
    ]
    insertion = make(LoginFailure).values(rows)
    new = insertion.excluded
    is_void = LoginFailure.expires_at <= at
    statement = insertion.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "count": case((is_void, new.count), else_=LoginFailure.count + new.count),
            "last_at": new.last_at,
            "expires_at": new.expires_at if extends else case((is_void, new.expires_at), else_=LoginFailure.expires_at),
        },
    ).returning(*_columns)
    return {row.key: row for row in all_rows(connection, FailureCount, statement)}


def take_back(connection: WriteConnection, keys: Collection[str]) -> None:
    """Subtract one failure of each key."""
    statement = update(LoginFailure).where(LoginFailure.key.in_(sorted(keys)), LoginFailure.count > 0)
    connection.execute(statement.values(count=LoginFailure.count - 1))


def reset(connection: WriteConnection, key: str) -> None:
    """Delete the failures of a key."""
    connection.execute(delete(LoginFailure).where(LoginFailure.key == key))


def prune(connection: WriteConnection, at: datetime, most: int) -> int:
    """Delete at most so many counts that have expired, and return their number."""
    # Rows that another transaction changes just now are left for the next time.
    expired = (
        select(LoginFailure.key)
        .where(LoginFailure.expires_at <= at)
        .order_by(LoginFailure.expires_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(LoginFailure).where(LoginFailure.key.in_(expired))).rowcount


def find_origin(connection: ReadConnection, user_id: str, network: str, since: datetime) -> Origin:
    """Return what is known of a network by logins since a time."""
    row = connection.execute(_find_origin, {"user_id": user_id, "network": network, "since": since}).one()
    return Origin(is_users=bool(row.is_users), is_known=bool(row.is_known))


def record_login(connection: WriteConnection, user_id: str, network: str, at: datetime) -> None:
    """Store that a user has logged in from a network; of each user the latest networks are kept."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # Selected, because the user may be removed meanwhile.
    row = (
        select(User.id, literal(network), literal(at, UtcDateTime))
        .where(User.id == user_id)
        .with_for_update(read=True, key_share=True)
    )
    insertion = make(LoginAddress).from_select(["user_id", "network", "last_login_at"], row)
    connection.execute(
        insertion.on_conflict_do_update(index_elements=["user_id", "network"], set_={"last_login_at": at})
    )
    of_user = LoginAddress.user_id == user_id
    kept = select(LoginAddress.network).where(of_user).order_by(LoginAddress.last_login_at.desc()).limit(_MAX_NETWORKS)
    connection.execute(delete(LoginAddress).where(of_user, LoginAddress.network.not_in(kept)))
