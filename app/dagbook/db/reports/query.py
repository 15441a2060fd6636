"""Queries of the report views: the ready ones beside this module, and those of users; read-only and bounded.

A query names the views and nothing else. SQLite's authorizer cannot tell a table that a view reads from one that the
query names, since a subquery may have the name of a view. So the query is compiled first in an empty database, whose
only tables have the names and columns of the views. PostgreSQL stores it as a temporary view, whose definition has what
it names, and takes that back.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from dagbook.db.errors import translate_errors
from dagbook.db.postgres.postgres import postgres_arguments
from dagbook.db.postgres.roles import READER
from dagbook.db.url import parse_url

Value = str | int | float | bool | None
MOST_ROWS, _MOST_BYTES, _LONGEST_VALUE = 1_000, 1024 * 1024, 16 * 1024 * 1024
SECONDS = 5
_TOO_LONG, _CANCELED = f"the query takes longer than {SECONDS} s", "57014"
_STEPS = 10_000  # of SQLite's machine between two looks at the clock
_TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"})
_FUNCTIONS = """
abs avg ceil ceiling char coalesce concat concat_ws count cume_dist date datetime dense_rank exp first_value floor
format glob group_concat hex ifnull iif instr json json_array json_array_length json_extract json_group_array
json_group_object json_object json_quote json_type json_valid julianday lag last_value lead length like likelihood
likely ln log log10 log2 lower ltrim max min mod nth_value ntile nullif percent_rank pow power printf quote rank
replace round row_number rtrim sign sqrt strftime string_agg substr substring sum time timediff total trim trunc
typeof unhex unicode unixepoch unlikely upper -> ->>
"""
_END = re.compile(r";(?:\s|--[^\n]*)*\Z")  # of a statement, which PostgreSQL's is put into another one
_WINDOW = re.compile(r"(?<![:\w]):(since|until)\b")
_HINT = "a query reads the views report_v1_… alone, with functions that read nothing else, and changes nothing"
_REFUSED = re.compile("not authorized|prohibited|no such table")
_READS_TABLES = "SELECT has_table_privilege('runs', 'SELECT')"
_UNALLOWED = r"""
WITH stored AS (SELECT ev_action::text AS nodes FROM pg_rewrite WHERE ev_class = 'dagbook_query'::regclass)
SELECT c.relname FROM stored, regexp_matches(nodes, ':relid (\d+)', 'g') AS found
JOIN pg_class c ON c.oid = found[1]::oid
WHERE c.oid <> 'dagbook_query'::regclass
    AND NOT (c.relnamespace = current_schema()::regnamespace AND c.relname = ANY ($1::text[]))
UNION
SELECT p.proname || '()' FROM stored, regexp_matches(nodes, ':(?:\w*funcid|\w+fnoid) (\d+)', 'g') AS found
JOIN pg_proc p ON p.oid = found[1]::oid
WHERE p.pronamespace <> 'pg_catalog'::regnamespace OR p.provolatile = 'v' OR p.proparallel <> 's'
"""


class QueryError(Exception):
    """A query is refused, fails or takes too long; the message has the reason, in the words of the database."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The times ``:since`` and ``:until``, written as those of the views."""

    since: str
    until: str

    @classmethod
    def of(cls, since: datetime, until: datetime) -> Window:
        return cls(since=_time_text(since), until=_time_text(until))


class QueryResult(msgspec.Struct, frozen=True, kw_only=True):
    """The columns and the first rows of a result, and whether there are more."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    more: bool = False


def read_ready() -> dict[str, str]:
    """Return the texts of the ready queries by name."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.sql"))}


def _bounded(columns: Iterable[str], rows: Iterable[Sequence[object]]) -> QueryResult:
    kept: list[Sequence[Value]] = []
    size, columns = 0, list(columns)
    for row in rows:
        values = [_plain(value) for value in row]
        size += sum(len(str(value)) for value in values)
        if len(kept) == MOST_ROWS or size > _MOST_BYTES:
            return QueryResult(columns=columns, rows=kept, more=True)
        kept.append(values)
    return QueryResult(columns=columns, rows=kept)


def _plain(value: object) -> Value:
    """Return a value of either database as JSON has it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case Decimal() if value.is_finite():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            return _time_text(value)
        case bytes():
            return value.hex()
    return str(value)


def _time_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- SQLite ------------------------------------------------------------------------------------------------------------


def ask_sqlite(path: Path, text: str, window: Window) -> QueryResult:
    """Run a query on a SQLite file beside its owner; raises QueryError."""
    opened = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=SECONDS)
    with closing(opened) as connection, closing(sqlite3.connect(":memory:")) as empty:
        try:
            tables = _copy_views(connection, empty)
            for each in (empty, connection):
                each.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
                each.set_authorizer(partial(_authorize, tables))
            values = msgspec.structs.asdict(window)
            empty.execute(f"EXPLAIN {text}", values)
            end = time.monotonic() + SECONDS
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            cursor = connection.execute(text, values)
            return _bounded((column[0] for column in cursor.description or ()), cursor)
        except (sqlite3.Error, sqlite3.Warning) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise QueryError(_TOO_LONG) from error
            raise QueryError(f"{error}; {_HINT}" if _REFUSED.search(str(error)) else str(error)) from error


def _copy_views(connection: sqlite3.Connection, empty: sqlite3.Connection) -> frozenset[str]:
    """Make empty tables like the views; returns the names of all tables and views that these read."""
    for view in READER:
        columns = ", ".join(f'"{column[1]}"' for column in connection.execute(f'PRAGMA table_info("{view}")'))
        if columns:
            empty.execute(f'CREATE TABLE "{view}" ({columns})')
    named = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    return frozenset(name for (name,) in named if not name.startswith("sqlite_")) | _TABLE_FUNCTIONS


def _authorize(tables: Collection[str], action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Allow reading; an access without a column is that of a subquery, or of a table that was refused before."""
    match action:
        case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_RECURSIVE:
            is_allowed = True
        case sqlite3.SQLITE_READ:
            is_allowed = first in tables or not second
        case sqlite3.SQLITE_FUNCTION:
            is_allowed = (second or "").lower() in _FUNCTIONS.split()
        case _:
            is_allowed = False
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


async def ask_postgres(url: str, schema: str, text: str, window: Window, role: str = "") -> QueryResult:
    """Run a query on a PostgreSQL database, as a role if one is named; raises QueryError and DatabaseUnavailable."""
    parsed = parse_url(url)
    arguments = postgres_arguments(parsed, "dagbook query", schema)
    arguments["server_settings"] |= {"statement_timeout": str(SECONDS * 1000)}
    engine = create_async_engine(parsed, poolclass=NullPool, connect_args=arguments)
    query = _WINDOW.sub(lambda found: f"'{getattr(window, found[1])}'", _END.sub("", text))
    try:
        with translate_errors("postgresql"):
            async with engine.connect() as connection:
                return await _ask(connection, query, role)
    finally:
        await engine.dispose()


async def _ask(connection: AsyncConnection, query: str, role: str) -> QueryResult:
    try:
        # A role that may read no table needs no check: PostgreSQL itself refuses it all else.
        if (await connection.exec_driver_sql(_READS_TABLES)).scalar():
            await connection.exec_driver_sql(
                f"CREATE TEMPORARY VIEW dagbook_query AS SELECT count(*) FROM (\n{query}\n) AS query"  # noqa: S608
            )
            unallowed = (await connection.exec_driver_sql(_UNALLOWED, (list(READER),))).scalars().all()
            if unallowed:
                raise QueryError(f"{', '.join(sorted(unallowed))}: {_HINT}")
            await connection.rollback()
        await connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        if role:
            await connection.exec_driver_sql('SET LOCAL ROLE "{}"'.format(role.replace('"', '""')))
        limited = f"SELECT * FROM (\n{query}\n) AS query LIMIT {MOST_ROWS + 1}"  # noqa: S608 - it was checked
        found = await connection.exec_driver_sql(limited)
        if not found.returns_rows:  # SELECT alone is a query to PostgreSQL
            raise QueryError("the query has no columns")
        return _bounded(found.keys(), found)
    except DBAPIError as error:
        reason = getattr(error.orig, "__cause__", None) or error.orig  # without SQLAlchemy's text about its class
        is_late = getattr(reason, "sqlstate", "") == _CANCELED
        raise QueryError(_TOO_LONG if is_late else str(reason)) from error
