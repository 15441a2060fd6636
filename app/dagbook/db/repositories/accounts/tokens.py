"""Personal API tokens, looked up by the hash of the token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.user import Grant, Token, User
from dagbook.db.repositories.accounts import groups
from dagbook.db.statements import all_rows, columns, first_row


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A personal token with name and role of its user."""

    id: str
    user_id: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    scopes: str | None
    addresses: str | None
    username: str
    user_role: str
    disabled_at: datetime | None
    scope: str = "all"
    patterns: str | None = None  # of the DAG names that limit it, with blanks
    group_ids: str | None = None  # of its user, with commas


_columns = (
    *columns(Token, TokenRow),
    User.username,
    User.role.label("user_role"),
    User.disabled_at,
    User.scope,
    select(func.aggregate_strings(Grant.pattern, " "))
    .where(Grant.token_id == Token.id)
    .correlate(Token)
    .scalar_subquery()
    .label("patterns"),
    groups.group_ids_of(Token.user_id).label("group_ids"),
)
_statement = select(*_columns).join(User, User.id == Token.user_id)


def get(connection: ReadConnection, token_id: str) -> TokenRow | None:
    """Return a token with its user's name and role."""
    return None if "\0" in token_id else first_row(connection, TokenRow, _statement.where(Token.id == token_id))


def get_by_hash(connection: ReadConnection, hashed: str) -> TokenRow | None:
    """Return the token with a hash, also if it is expired or revoked."""
    return first_row(connection, TokenRow, _statement.where(Token.hash == hashed))


def find(connection: ReadConnection, user_id: str | None, now: datetime, most: int) -> Sequence[TokenRow]:
    """Return the valid tokens of a user, or all, and of those that have ended the newest, oldest first."""
    of_user = () if user_id is None else (Token.user_id == user_id,)
    valid = all_rows(connection, TokenRow, _statement.where(_is_valid(now), *of_user))
    newest = _statement.where(~_is_valid(now), *of_user).order_by(Token.created_at.desc(), Token.id.desc())
    ended = all_rows(connection, TokenRow, newest.limit(most))
    return sorted((*valid, *ended), key=lambda row: (row.created_at, row.id))


def _is_valid(now: datetime) -> ColumnElement[bool]:
    return and_(Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > now))


def count_valid(connection: ReadConnection, user_id: str, now: datetime) -> int:
    """Count the tokens of a user that are neither revoked nor expired."""
    return connection.scalar(select(func.count()).where(Token.user_id == user_id, _is_valid(now))) or 0


def find_creations(connection: ReadConnection, user_id: str, after: datetime) -> Sequence[datetime]:
    """Return when the tokens of a user were made since a time, the oldest first."""
    statement = select(Token.created_at).where(Token.user_id == user_id, Token.created_at > after)
    return connection.scalars(statement.order_by(Token.created_at)).all()


def remove_ended(connection: WriteConnection, user_id: str, now: datetime, *, kept: int) -> None:
    """Delete the tokens of a user that have ended, except the newest ones."""
    ended = select(Token.id).where(Token.user_id == user_id, ~_is_valid(now))
    old = ended.order_by(Token.created_at.desc(), Token.id.desc()).offset(kept)
    connection.execute(delete(Token).where(Token.id.in_(connection.scalars(old).all())))


def has_valid(connection: ReadConnection, user_id: str, name: str) -> bool:
    """Whether a user has a token with this name that is not revoked."""
    statement = select(Token.id).where(Token.user_id == user_id, Token.name == name, Token.revoked_at.is_(None))
    return connection.scalar(statement) is not None


def add(connection: WriteConnection, row: TokenRow, hashed: str) -> None:
    """Store a new token by its hash."""
    values = {column.name: getattr(row, column.name) for column in columns(Token, TokenRow)}
    connection.execute(insert(Token).values(hash=hashed, **values))


def revoke(connection: WriteConnection, token_id: str, at: datetime) -> bool:
    """Revoke a token; False when it was already revoked, whose time is kept."""
    statement = update(Token).where(Token.id == token_id, Token.revoked_at.is_(None)).values(revoked_at=at)
    return bool(connection.execute(statement).rowcount)


def revoke_all(connection: WriteConnection, user_id: str, at: datetime, spared: str | None = None) -> None:
    """Revoke all tokens of a user, except the one with the id ``spared``."""
    statement = update(Token).where(Token.user_id == user_id, Token.revoked_at.is_(None))
    if spared is not None:
        statement = statement.where(Token.id != spared)
    connection.execute(statement.values(revoked_at=at))


def record_use(connection: WriteConnection, token_id: str, at: datetime) -> None:
    """Store the time of the last use of a token."""
    connection.execute(update(Token).where(Token.id == token_id).values(last_used_at=at))
