"""Users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import case, delete, func, insert, select, text, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.user import User
from dagbook.db.statements import all_rows, columns, first_row


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    id: str
    username: str
    role: str
    password_hash: str
    generation: int
    issuer: str | None = None
    subject: str | None = None
    disabled_at: datetime | None = None
    scope: str = "all"
    created_at: datetime
    updated_at: datetime


class NamedUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user as it is found by its name."""

    id: str
    username: str
    role: str


_statement = select(*columns(User, UserRow))


def lock(connection: WriteConnection) -> None:
    """Lock the table of users until the end of the transaction, so that rows read after this cannot change."""
    # On SQLite there is one write transaction at a time.
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))


def get(connection: ReadConnection, user_id: str) -> UserRow | None:
    """Return a user by id."""
    return None if "\0" in user_id else first_row(connection, UserRow, _statement.where(User.id == user_id))


def get_by_name(connection: ReadConnection, username: str) -> UserRow | None:
    """Return a user by name, case-sensitive."""
    return None if "\0" in username else first_row(connection, UserRow, _statement.where(User.username == username))


def get_by_subject(connection: ReadConnection, issuer: str, subject: str) -> UserRow | None:
    """Return the user of an account at a provider."""
    return first_row(connection, UserRow, _statement.where(User.issuer == issuer, User.subject == subject))


def find(connection: ReadConnection) -> Sequence[UserRow]:
    """Return all users, oldest first."""
    return all_rows(connection, UserRow, _statement.order_by(User.created_at, User.id))


def find_usernames(connection: ReadConnection, names: Iterable[str]) -> set[str]:
    """Return those of the names that users have."""
    wanted = [name for name in names if "\0" not in name]
    return set(connection.scalars(select(User.username).where(User.username.in_(wanted))))


def find_named(connection: ReadConnection, part: str, most: int) -> Sequence[NamedUser]:
    """Return users with a text in their names, ignoring case; first those whose names begin with it."""
    position = func.strpos if connection.dialect.name == "postgresql" else func.instr
    place = position(func.lower(User.username), func.lower(part))
    statement = select(*columns(User, NamedUser)).where(place > 0).order_by(case((place == 1, 0), else_=1))
    return all_rows(connection, NamedUser, statement.order_by(User.username).limit(most))


def count(connection: ReadConnection, role: str | None = None) -> int:
    """Count the users, or those of a role that have it everywhere and are not disabled."""
    statement = select(func.count()).select_from(User)
    if role is not None:
        statement = statement.where(User.role == role, User.disabled_at.is_(None), User.scope == "all")
    return connection.scalar(statement) or 0


def add(connection: WriteConnection, row: UserRow) -> None:
    """Store a new user."""
    connection.execute(insert(User).values(**msgspec.structs.asdict(row)))


def change(connection: WriteConnection, user_id: str, **values: object) -> None:
    """Change columns of a user."""
    connection.execute(update(User).where(User.id == user_id).values(**values))


def set_password(connection: WriteConnection, user_id: str, password_hash: str, at: datetime) -> None:
    """Store a new password."""
    change(connection, user_id, password_hash=password_hash, updated_at=at)


def rehash(connection: WriteConnection, user_id: str, before: str, after: str) -> None:
    """Store another hash of the same password, unless the password was changed meanwhile."""
    statement = update(User).where(User.id == user_id, User.password_hash == before)
    connection.execute(statement.values(password_hash=after))


def remove(connection: WriteConnection, user_id: str) -> None:
    """Delete a user with all sessions and tokens of that user."""
    connection.execute(delete(User).where(User.id == user_id))
