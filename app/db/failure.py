"""Telling "the database cannot be used right now" from every other database error."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asyncpg import InterfaceError, PostgresError  # type: ignore[import-untyped]  # asyncpg brings no types
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_SQLITE_REASONS = {
    sqlite3.SQLITE_BUSY: "the database file is locked by another process",
    sqlite3.SQLITE_LOCKED: "the database file is locked",
    sqlite3.SQLITE_READONLY: "the database file is read-only",
    sqlite3.SQLITE_IOERR: "the database file cannot be read or written",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
}
# Classes and codes of SQLSTATE; the longest that fits is taken.
_POSTGRES_REASONS = {
    "08": "the connection to PostgreSQL was lost",
    "25006": "PostgreSQL is read-only",
    "25P03": "PostgreSQL gave up a transaction that had stood still",
    "28": "PostgreSQL does not accept the user or the password",
    "3D000": "PostgreSQL has no such database",
    "40001": "PostgreSQL ended the transaction in favour of another one",
    "40P01": "PostgreSQL ended the transaction in favour of another one",
    "53": "PostgreSQL has run out of a resource",
    "53100": "the disk of PostgreSQL is full",
    "53300": "PostgreSQL has no connection left",
    "55P03": "a lock in PostgreSQL was not to be had in time",
    "57014": "PostgreSQL took too long to answer",
    "57P": "PostgreSQL is shutting down or starting",
    "58": "PostgreSQL's machine reports an error",
}
_LOST = "the connection to PostgreSQL was lost"


class DatabaseUnavailable(Exception):  # noqa: N818  # a state of the world, not a mistake
    """The database cannot be used right now; the same call may succeed later.

    A connection lost while a commit was under way leaves open whether the commit took
    place: whoever repeats a write has to look first.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def telling_unavailable(dialect: str) -> Iterator[None]:
    """Turn errors that mean "not now" into ``DatabaseUnavailable``; let all others pass."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("all connections to the database are in use") from error
    except DBAPIError as error:
        reason = reason_of(error.orig) or (_LOST if error.connection_invalidated else None)
        if reason is None:
            raise
        raise DatabaseUnavailable(reason) from error
    except (sqlite3.Error, PostgresError, InterfaceError) as error:
        reason = reason_of(error)
        if reason is None:
            raise
        raise DatabaseUnavailable(reason) from error
    except OSError as error:
        # asyncpg's connect and its time limits raise these as they are.
        if dialect != "postgresql":
            raise
        raise DatabaseUnavailable("PostgreSQL cannot be reached") from error


def as_sqlalchemy(error: sqlite3.Error, statement: str, arguments: Any = None) -> BaseException:
    """Return what SQLAlchemy would have raised, had it been asked instead of the driver."""
    return DBAPIError.instance(statement, arguments, error, sqlite3.Error)


def reason_of(error: BaseException | None) -> str | None:
    """Return the reason in plain words, or ``None`` when the error is about the statement."""
    if isinstance(error, sqlite3.Error):
        return _SQLITE_REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(error, InterfaceError):
        return _LOST if "closed" in str(error) else None
    state = getattr(error, "sqlstate", None)
    if not isinstance(state, str):
        return None
    fitting = [code for code in _POSTGRES_REASONS if state.startswith(code)]
    return _POSTGRES_REASONS[max(fitting, key=len)] if fitting else None
