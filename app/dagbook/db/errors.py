"""Database errors: translation of those that mean "unavailable at present", and of violated constraints."""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from asyncpg import (
    ClientConfigurationError,
    IntegrityConstraintViolationError,
    InterfaceError,
    InternalClientError,
    InvalidCachedStatementError,
    OutdatedSchemaCacheError,
    PostgresError,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

_SQLITE_REASONS = {
    sqlite3.SQLITE_BUSY: "the database file is locked by another process",
    sqlite3.SQLITE_LOCKED: "the database file is locked",
    sqlite3.SQLITE_READONLY: "the database file is read-only",
    sqlite3.SQLITE_IOERR: "the database file cannot be read or written",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database",
}
# Classes and codes of SQLSTATE; the longest match applies.
_POSTGRES_REASONS = {
    "08": "the connection to PostgreSQL was lost",
    "25006": "PostgreSQL is read-only",
    "25P03": "PostgreSQL ended a transaction that was idle for too long",
    "28": "PostgreSQL refuses the connection",
    "28P01": "PostgreSQL does not accept the user or the password",
    "3D000": "PostgreSQL has no such database",
    "40001": "PostgreSQL rolled the transaction back because of another one",
    "40P01": "PostgreSQL rolled the transaction back because of another one",
    "42501": "PostgreSQL denies its role a privilege that Dagbook needs",
    "53": "PostgreSQL has run out of a resource",
    "53100": "the disk of PostgreSQL is full",
    "53300": "PostgreSQL has no connection left",
    "55P03": "a lock in PostgreSQL could not be acquired in time",
    "57014": "PostgreSQL took too long to answer",
    "57P": "PostgreSQL is shutting down or starting",
    "58": "PostgreSQL reports a system error on its machine",
}
# Of writes that fail until an operator repairs the cause.
_LASTING = frozenset(
    {_SQLITE_REASONS[code] for code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)}
    | {_POSTGRES_REASONS[state] for state in ("25006", "53100")}
)
# PostgreSQL's own message is added to these: it names the rule or the privilege.
_DETAILED = ("28", "3D000", "42501")
_MISSING_PRIVILEGE = "42501"
# The transaction was rolled back because of another one, and may be repeated.
_SERIALIZATION_FAILURES = ("40001", "40P01")
_LOST = "the connection to PostgreSQL was lost"
_ENDS = "another operation (2) is in progress"  # asyncpg's state while it consumes an error that no query awaits
# What a write raises, beside Conflict, when its values can never be stored.
UNSTORABLE = (SQLAlchemyError, ValueError, OverflowError)
# Ending of the message when pg_hba.conf refuses a connection without TLS: since version 14, and before.
_WITHOUT_TLS = ("no encryption", "SSL off")
_ASK_FOR_TLS = "; if the server demands TLS, write sslmode=require or verify-full in database_url"


class DatabaseUnavailable(Exception):  # noqa: N818  # a state of the world, not a mistake
    """The database cannot be used at present; the same call may succeed later.

    If the connection was lost during a commit, the outcome is unknown: before repeating the write, check whether it was
    committed. ``reason`` is safe for every client; ``detail`` names users and tables, for logs and terminals only.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.lasts = reason in _LASTING


class MissingPrivilege(DatabaseUnavailable):
    """The PostgreSQL role lacks a privilege; the same call succeeds once it is granted."""


class Conflict(Exception):  # noqa: N818  # a state of the world, not a mistake
    """A constraint or trigger refuses a write: often another transaction was faster. The text is the database's."""


@contextmanager
def translate_errors(dialect: str) -> Iterator[None]:
    """Raise DatabaseUnavailable for errors that mean "unavailable at present", Conflict for violated constraints.

    Others pass unchanged.
    """
    try:
        yield
    except IntegrityError as error:
        raise Conflict(str(error.orig)) from error
    except (sqlite3.IntegrityError, IntegrityConstraintViolationError) as error:
        raise Conflict(str(error)) from error
    except DBAPIError as error:
        lost = DatabaseUnavailable(_LOST) if error.connection_invalidated else None
        translated = _explain(error.orig) or lost
        if translated is None:
            raise
        raise translated from error
    except (sqlite3.Error, PostgresError, InterfaceError, InternalClientError) as error:
        translated = _explain(error)
        if translated is None:
            raise
        raise translated from error
    except OSError as error:
        # Raised by asyncpg's connect and its time limits.
        if dialect != "postgresql":
            raise
        raise _explain_no_connection(error) from error


def is_serialization_failure(error: DBAPIError | PostgresError) -> bool:
    """Whether PostgreSQL rolled the transaction back because of another one, so that it may be repeated at once.

    This includes a change of the tables between two uses of a prepared statement.
    """
    own = getattr(error, "orig", error)
    own = getattr(own, "__cause__", None) or own
    if isinstance(own, InvalidCachedStatementError | OutdatedSchemaCacheError):
        return True
    return getattr(own, "sqlstate", None) in _SERIALIZATION_FAILURES


def to_dbapi_error(
    error: sqlite3.Error | PostgresError, statement: str, arguments: Sequence[Sequence[object]] | None = None
) -> BaseException:
    """Convert an error of the driver into the one that SQLAlchemy raises for it."""
    if isinstance(error, IntegrityConstraintViolationError):
        return IntegrityError(statement, arguments, error)
    return DBAPIError.instance(statement, arguments, error, Exception)


def _explain(error: BaseException | None) -> DatabaseUnavailable | None:
    """Return the translated error; None when the error is about the statement."""
    if isinstance(error, sqlite3.Error):
        reason = _SQLITE_REASONS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        return None if reason is None else DatabaseUnavailable(reason)
    if isinstance(cause := getattr(error, "__cause__", None) or error, ClientConfigurationError):
        return DatabaseUnavailable("PostgreSQL cannot be reached with these settings", str(cause).splitlines()[0])
    if isinstance(error, InterfaceError):
        return DatabaseUnavailable(_LOST) if "closed" in str(error) else None
    if isinstance(error, InternalClientError):
        # PostgreSQL has said that it ends the connection, and has not closed it yet.
        return DatabaseUnavailable(_LOST) if str(error).endswith(_ENDS) else None
    state = getattr(error, "sqlstate", None)
    matching = [code for code in _POSTGRES_REASONS if isinstance(state, str) and state.startswith(code)]
    if not matching:
        return None
    kind = MissingPrivilege if state == _MISSING_PRIVILEGE else DatabaseUnavailable
    return kind(_POSTGRES_REASONS[max(matching, key=len)], _detail(error, str(state)))


def _detail(error: BaseException | None, state: str) -> str:
    if not state.startswith(_DETAILED):
        return ""
    # The text of SQLAlchemy's error starts with the class name of the driver's error, which is its cause.
    message = str(getattr(error, "__cause__", None) or error).splitlines()[0]
    return message + (_ASK_FOR_TLS if message.endswith(_WITHOUT_TLS) else "")


def _explain_no_connection(error: OSError) -> DatabaseUnavailable:
    match error:
        case ssl.SSLCertVerificationError():
            return DatabaseUnavailable("the certificate of PostgreSQL is not trusted", error.verify_message)
        case ssl.SSLError():
            return DatabaseUnavailable("TLS with PostgreSQL fails", str(error.reason or error))
        case ConnectionError() if "SSL upgrade" in str(error):
            return DatabaseUnavailable("PostgreSQL does not offer TLS, which sslmode in database_url requires")
    return DatabaseUnavailable("PostgreSQL cannot be reached")
