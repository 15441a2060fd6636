"""Precompiled write statements, passed to the driver as SQL text and values.

SQLAlchemy's cache lookup, parameter naming and parameter processing take three to ten times as long as the statement
itself; the text and the values compiled here are the same. On SQLite they go to the driver directly, because
SQLAlchemy's cursor alone costs more than the statement. Reads are executed by SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from sqlite3 import Error as SqliteError
from typing import Any, NamedTuple

from sqlalchemy import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from dagbook.db.backend import WriteConnection
from dagbook.db.errors import to_dbapi_error

Values = Mapping[str, Any]


class Prepared:
    """A Core statement without expanding parameters, or one for each dialect; rows of one call have the same keys."""

    def __init__(self, statement: ClauseElement | Mapping[str, ClauseElement]) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, tuple[str, ...]], _Compiled] = {}

    def execute_many(self, connection: WriteConnection, rows: Sequence[Values]) -> None:
        """Execute the statement once for each row."""
        if not rows:
            return
        compiled = self._compiled_for(connection, tuple(rows[0]))
        arguments = [compiled.arguments(row) for row in rows]
        driver = sqlite_driver(connection)
        if driver is None:
            connection.exec_driver_sql(compiled.text, arguments)
            return
        try:
            driver.executemany(compiled.text, arguments)
        except SqliteError as error:
            raise to_dbapi_error(error, compiled.text, arguments) from error

    def _compiled_for(self, connection: WriteConnection, names: tuple[str, ...]) -> _Compiled:
        key = (connection.dialect.name, names)
        compiled = self._compiled.get(key)
        if compiled is None:
            statement = self._statement[key[0]] if isinstance(self._statement, Mapping) else self._statement
            compiled = self._compiled[key] = _compile(statement, connection.dialect, names)
        return compiled


class _Compiled(NamedTuple):
    text: str
    slots: Sequence[tuple[str, Callable[[Any], Any] | None]]
    constants: Values  # parameters with a value in the statement

    def arguments(self, values: Values) -> tuple[Any, ...]:
        if self.constants:
            values = {**self.constants, **values}
        return tuple([values[name] if convert is None else convert(values[name]) for name, convert in self.slots])


def _compile(statement: ClauseElement, dialect: Dialect, names: Sequence[str]) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - always so for statements other than DDL
    slots, constants = [], {}
    for name in compiled.positiontup or ():
        bind = compiled.binds[name]
        slots.append((name, bind.type.dialect_impl(dialect).bind_processor(dialect)))
        if name not in names and not bind.required:
            constants[name] = bind.effective_value
    return _Compiled(str(compiled), slots, constants)


def sqlite_driver(connection: WriteConnection) -> Any | None:
    """Return the driver's connection if it is a synchronous one to SQLite, else None."""
    return connection.connection.driver_connection if connection.dialect.driver == "pysqlite" else None
