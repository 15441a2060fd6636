"""Statements of the hot path, made ready once and handed to the driver as text and values.

Finding a statement in SQLAlchemy's cache, naming its parameters and looking at each of them anew takes three
to ten times as long as the statement itself; what it is made into here is the same text with the same values.
On SQLite the driver gets them directly: there SQLAlchemy's cursor alone costs more than what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from sqlite3 import Error as SqliteError
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Select
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from app.db.database import ReadConnection, WriteConnection
from app.db.failure import as_sqlalchemy

Values = Mapping[str, Any]


class Prepared:
    """A Core statement without expanding parameters; rows of one call have the same keys.

    Given one for each dialect, it is the one of the connection's.
    """

    def __init__(self, statement: ClauseElement | Mapping[str, ClauseElement]) -> None:
        self._statement = statement
        self._ready: dict[tuple[str, tuple[str, ...]], _Ready] = {}

    def store(self, connection: WriteConnection, rows: Sequence[Values]) -> None:
        """Execute the statement for each of the rows."""
        if not rows:
            return
        ready = self._ready_for(connection, rows[0])
        arguments = [ready.arguments(row) for row in rows]
        driver = sqlite_driver(connection)
        if driver is None:
            connection.exec_driver_sql(ready.text, arguments)
            return
        try:
            driver.executemany(ready.text, arguments)
        except SqliteError as error:
            raise as_sqlalchemy(error, ready.text, arguments) from error

    def find(self, connection: ReadConnection, values: Values) -> Sequence[Any]:
        """Execute a query whose columns the driver gives as they are: numbers and texts, no times and no JSON."""
        return self._fetch(connection, self._ready_for(connection, values), values)

    def rows(self, connection: ReadConnection, **values: object) -> Sequence[Mapping[str, Any]]:
        """Execute a query; each row is a mapping from column name to value."""
        ready = self._ready_for(connection, values)
        return [ready.mapping(row) for row in self._fetch(connection, ready, values)]

    def row(self, connection: ReadConnection, **values: object) -> Mapping[str, Any] | None:
        """Execute a query that gives one row at most, as a mapping from column name to value."""
        found = self.rows(connection, **values)
        return found[0] if found else None

    def _fetch(self, connection: ReadConnection, ready: _Ready, values: Values) -> Sequence[Any]:
        arguments = ready.arguments(values)
        driver = sqlite_driver(connection)
        if driver is None:
            return connection.exec_driver_sql(ready.text, arguments).all()
        try:
            found: Sequence[Any] = driver.execute(ready.text, arguments).fetchall()
        except SqliteError as error:
            raise as_sqlalchemy(error, ready.text, arguments) from error
        return found

    def _ready_for(self, connection: ReadConnection, values: Values) -> _Ready:
        key = (connection.dialect.name, tuple(values))
        ready = self._ready.get(key)
        if ready is None:
            statement = self._choose(key[0])
            ready = self._ready[key] = _make_ready(statement, connection.dialect, key[1])
        return ready

    def _choose(self, dialect: str) -> ClauseElement:
        return self._statement[dialect] if isinstance(self._statement, Mapping) else self._statement


class _Ready(NamedTuple):
    text: str
    slots: Sequence[tuple[str, Callable[[Any], Any] | None]]
    constants: Values  # that the statement brings along
    columns: Sequence[tuple[str, Callable[[Any], Any] | None]]  # of a query

    def arguments(self, values: Values) -> tuple[Any, ...]:
        if self.constants:
            values = {**self.constants, **values}
        return tuple([values[name] if convert is None else convert(values[name]) for name, convert in self.slots])

    def mapping(self, row: Sequence[Any]) -> dict[str, Any]:
        return {
            name: value if convert is None else convert(value)
            for (name, convert), value in zip(self.columns, row, strict=True)
        }


def _make_ready(statement: ClauseElement, dialect: Dialect, names: Sequence[str]) -> _Ready:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - statements that change no tables are compiled by it
    slots, constants = [], {}
    for name in compiled.positiontup or ():
        bind = compiled.binds[name]
        slots.append((name, bind.type.dialect_impl(dialect).bind_processor(dialect)))
        if name not in names and not bind.required:
            constants[name] = bind.effective_value
    columns = [
        (name, column.type.dialect_impl(dialect).result_processor(dialect, None))
        for name, column in (statement.selected_columns.items() if isinstance(statement, Select) else ())
    ]
    return _Ready(str(compiled), slots, constants, columns)


def sqlite_driver(connection: ReadConnection) -> Any | None:
    """Return the driver's own connection to SQLite, if it is one that is used without a loop."""
    return connection.connection.driver_connection if connection.dialect.driver == "pysqlite" else None
