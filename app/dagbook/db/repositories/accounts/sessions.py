"""Sessions: logins of users, looked up by the id in their token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import delete, func, insert, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.user import Session, User
from dagbook.db.repositories.accounts import groups
from dagbook.db.statements import all_rows, columns, first_row

_MOST_LISTED = 1000
_statement = select(
    *Session.__table__.columns,
    User.username,
    User.role.label("user_role"),
    User.generation,
    User.disabled_at,
    User.scope,
    groups.group_ids_of(Session.user_id).label("group_ids"),
).join(User, User.id == Session.user_id)


class SessionEnd(StrEnum):
    """Why a session has ended."""

    LOGGED_OUT = "logged out"
    ENDED = "ended"
    PASSWORD_CHANGED = "password changed"  # noqa: S105 - a reason
    USER_DISABLED = "user disabled"


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session with name, role, generation, scope and groups of its user."""

    id: str
    user_id: str
    is_browser: bool
    address: str
    agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_as: str | None
    username: str
    user_role: str
    generation: int
    disabled_at: datetime | None
    scope: str
    group_ids: str | None = None  # with commas


def get(connection: ReadConnection, session_id: str) -> SessionRow | None:
    """Return a session with its user's name and role, also of one that has ended."""
    return None if "\0" in session_id else first_row(connection, SessionRow, _statement.where(Session.id == session_id))


def find_open(connection: ReadConnection, now: datetime, user_id: str | None = None) -> Sequence[SessionRow]:
    """Return the sessions of a user, or of all, that are not over; the last used first, at most 1000."""
    statement = _statement.where(Session.ended_at.is_(None), Session.expires_at > now)
    if user_id is not None:
        statement = statement.where(Session.user_id == user_id)
    ordered = statement.order_by(Session.last_used_at.desc(), Session.id).limit(_MOST_LISTED)
    return all_rows(connection, SessionRow, ordered)


def add(connection: WriteConnection, row: SessionRow) -> None:
    """Store a new session."""
    values = {column.name: getattr(row, column.name) for column in columns(Session, SessionRow)}
    connection.execute(insert(Session).values(**values))


def end(connection: WriteConnection, session_id: str, at: datetime, reason: SessionEnd) -> bool:
    """End a session; False when it had ended before, whose time is kept."""
    statement = update(Session).where(Session.id == session_id, Session.ended_at.is_(None))
    return bool(connection.execute(statement.values(ended_at=at, ended_as=str(reason))).rowcount)


def end_of_user(
    connection: WriteConnection, user_id: str, at: datetime, reason: SessionEnd, spared: str | None = None
) -> int:
    """End all sessions of a user, except the one with the id ``spared``; returns how many were open."""
    statement = update(Session).where(Session.user_id == user_id, Session.ended_at.is_(None), Session.expires_at > at)
    if spared is not None:
        statement = statement.where(Session.id != spared)
    return connection.execute(statement.values(ended_at=at, ended_as=str(reason))).rowcount


def record_use(connection: WriteConnection, session_id: str, at: datetime) -> None:
    """Store the time of the last use of a session."""
    connection.execute(update(Session).where(Session.id == session_id).values(last_used_at=at))


def remove_old(connection: WriteConnection, user_id: str, before: datetime) -> None:
    """Delete the sessions of a user that ended before a time."""
    ended = func.coalesce(Session.ended_at, Session.expires_at)
    connection.execute(delete(Session).where(Session.user_id == user_id, ended < before))
