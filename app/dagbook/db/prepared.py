"""Precompiled statements for rows of values, passed to the driver as SQL text and values.

SQLAlchemy's cache lookup, parameter naming, parameter processing and cursor take three to ten times as long as the
statement itself; the text and the values compiled here are the same.

PostgreSQL gets each column of the rows as one array, so that any number of rows is one statement, which each connection
plans once. SQLite executes the statement for one row after the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError
from typing import Any, cast

import msgspec
from asyncpg import PostgresError
from sqlalchemy import AdaptedConnection, BindParameter, Dialect, Insert, bindparam, column, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import ClauseElement, Update
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import ExternallyTraversible, iterate, replacement_traverse

from dagbook.db.backend import ReadConnection
from dagbook.db.errors import to_dbapi_error
from dagbook.db.types import Base

Values = msgspec.Struct | Mapping[str, object]
Columns = Sequence[Sequence[object]]
Found = Sequence[Sequence[Any]]
_KEY = "b_"


class Prepared:
    """A Core statement whose parameters are the values of one row, or one for each dialect.

    The rows of one call are structs of one type, whose fields are the columns of an insertion, or maps with the same
    keys. The parameter ``b_x`` is the field ``x`` by which an update finds a row: SQLAlchemy reserves the names of
    columns that it sets.
    """

    def __init__(self, statement: ClauseElement | Mapping[str, ClauseElement]) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, object], _Compiled] = {}

    def execute_many(self, connection: ReadConnection, rows: Sequence[Values]) -> Found:
        """Execute the statement for each row; returns what it finds, with the values of the driver."""
        if not rows:
            return ()
        row, dialect = rows[0], connection.dialect
        key = (dialect.name, type(row) if isinstance(row, msgspec.Struct) else tuple(row))
        if key not in self._compiled:
            statement = self._statement[dialect.name] if isinstance(self._statement, Mapping) else self._statement
            self._compiled[key] = _Compiled(statement, dialect, row)
        return self._compiled[key].execute(connection, rows)


def parameters(model: type[Base], names: Iterable[str]) -> dict[str, BindParameter[object]]:
    """Return parameters by the names of columns, with the types of these columns."""
    return {name: bindparam(name, type_=model.__table__.columns[name].type) for name in names}


def update_by(model: type[Base], names: Iterable[str], *keys: str) -> Update:
    """Return the update that sets columns of the rows with a key."""
    of_key = (model.__table__.columns[key] == bindparam(_KEY + key) for key in keys)
    return update(model).where(*of_key).values(parameters(model, names))


class _Compiled:
    """A statement for rows with the fields of ``row``."""

    def __init__(self, statement: ClauseElement, dialect: Dialect, row: Values) -> None:
        is_struct = isinstance(row, msgspec.Struct)
        names = list(row.__struct_fields__ if isinstance(row, msgspec.Struct) else row)
        self._is_postgres = dialect.name == "postgresql"
        if self._is_postgres:
            statement = _with_arrays(statement, names)
        compiled = statement.compile(dialect=dialect, column_keys=names if isinstance(statement, Insert) else None)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - always so for statements other than DDL
        self._text = str(compiled)
        given = compiled.positiontup or ()
        self._keys = [at for at, name in enumerate(given) if name.startswith(_KEY)]
        self._converters: list[tuple[int, Callable[[object], object]]] = []
        for at, name in enumerate(given):
            kind = compiled.binds[name].type
            kind = kind.item_type if isinstance(kind, ARRAY) else kind
            if (convert := kind.dialect_impl(dialect).bind_processor(dialect)) is not None:
                self._converters.append((at, convert))
        fields = [name.removeprefix(_KEY) if is_struct else name for name in given]
        getter: Callable[..., tuple[object, ...]] = attrgetter(*fields) if is_struct else itemgetter(*fields)
        self._read = getter if len(fields) > 1 else lambda row: (getter(row),)

    def execute(self, connection: ReadConnection, rows: Sequence[Values]) -> Found:
        columns: list[Sequence[object]] = list(zip(*map(self._read, rows), strict=True))
        for at, convert in self._converters:
            columns[at] = [convert(value) for value in columns[at]]
        if not self._is_postgres:
            return execute_rows(connection, self._text, columns)
        parts = _without_repetitions(columns, self._keys)
        return [found for part in parts for found in execute_arrays(connection, self._text, part)]


def execute_rows(connection: ReadConnection, text: str, columns: Columns) -> Found:
    """Execute a statement on SQLite for rows that are given by column."""
    driver = cast(SqliteConnection, connection.connection.driver_connection)
    try:
        return [found for row in zip(*columns, strict=True) for found in driver.execute(text, row)]
    except SqliteError as error:
        raise to_dbapi_error(error, text, columns) from error


def execute_arrays(connection: ReadConnection, text: str, columns: Columns) -> Found:
    """Execute a statement on PostgreSQL for rows that are given by column."""
    driver = cast(AdaptedConnection, connection.connection.dbapi_connection)
    try:
        found: Found = driver.run_async(lambda asynchronous: asynchronous.fetch(text, *columns))
    except PostgresError as error:
        raise to_dbapi_error(error, text, columns) from error
    return found


def _with_arrays(statement: ClauseElement, names: Sequence[str]) -> ClauseElement:
    """Return the statement for all rows at once; ``names`` are the columns of an insertion without SELECT."""
    if isinstance(statement, Insert) and statement.select is None:
        table = statement.table.columns
        statement = statement.from_select(names, select(*(bindparam(name, type_=table[name].type) for name in names)))
    types = {part.key: part.type for part in iterate(statement) if isinstance(part, BindParameter)}
    arrays = (bindparam(key, type_=ARRAY(kind, dimensions=1)) for key, kind in types.items())
    rows = func.unnest(*arrays).table_valued(*(column(key, kind) for key, kind in types.items())).render_derived()

    def replace(element: ExternallyTraversible, **_: object) -> ExternallyTraversible | None:
        return rows.columns[element.key] if isinstance(element, BindParameter) else None

    return cast(ClauseElement, replacement_traverse(statement, {}, replace))


def _without_repetitions(columns: Columns, keys: Sequence[int]) -> Sequence[Columns]:
    """Divide rows so that no key is repeated: an update takes any one of several new versions of a row."""
    seen: Counter[object] = Counter()
    turns = []
    for key in zip(*(columns[at] for at in keys), strict=True):
        turns.append(seen[key])
        seen[key] += 1
    if not any(turns):
        return [columns]
    parts = ([at for at, turn in enumerate(turns) if turn == part] for part in range(max(turns) + 1))
    return [[[values[at] for at in part] for values in columns] for part in parts]
