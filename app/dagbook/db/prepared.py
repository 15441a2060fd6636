"""Precompiled write statements, passed to the driver as SQL text and values.

SQLAlchemy's cache lookup, parameter naming and parameter processing take three to ten times as long as the statement
itself; the text and the values compiled here are the same. On SQLite they go to the driver directly, because
SQLAlchemy's cursor alone costs more than the statement. Reads are executed by SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from sqlite3 import Connection as SqliteConnection
from sqlite3 import Error as SqliteError

import msgspec
from sqlalchemy import Dialect, Insert
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from dagbook.db.backend import WriteConnection
from dagbook.db.errors import to_dbapi_error

Values = msgspec.Struct | Mapping[str, object]
_KEY = "b_"


class Prepared:
    """A Core statement without expanding parameters, or one for each dialect.

    The rows of one call are structs of one type, whose fields are the columns of an insertion, or maps with the same
    keys. The parameter ``b_x`` is the field ``x``: SQLAlchemy reserves the names of columns that an update sets.
    """

    def __init__(self, statement: ClauseElement | Mapping[str, ClauseElement]) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, object], _Compiled] = {}

    def execute_many(self, connection: WriteConnection, rows: Sequence[Values]) -> None:
        """Execute the statement once for each row."""
        if not rows:
            return
        compiled = self._compiled_for(connection, rows[0])
        arguments = [compiled.arguments(row) for row in rows]
        driver = sqlite_driver(connection)
        if driver is None:
            connection.exec_driver_sql(compiled.text, arguments)
            return
        try:
            driver.executemany(compiled.text, arguments)
        except SqliteError as error:
            raise to_dbapi_error(error, compiled.text, arguments) from error

    def _compiled_for(self, connection: WriteConnection, row: Values) -> _Compiled:
        dialect = connection.dialect
        key = (dialect.name, type(row) if isinstance(row, msgspec.Struct) else tuple(row))
        compiled = self._compiled.get(key)
        if compiled is None:
            statement = self._statement[key[0]] if isinstance(self._statement, Mapping) else self._statement
            compiled = self._compiled[key] = _Compiled(statement, dialect, row)
        return compiled


class _Compiled:
    """A statement for rows with the fields of ``row``."""

    def __init__(self, statement: ClauseElement, dialect: Dialect, row: Values) -> None:
        is_struct = isinstance(row, msgspec.Struct)
        names = list(row.__struct_fields__ if isinstance(row, msgspec.Struct) else row)
        compiled = statement.compile(dialect=dialect, column_keys=names if isinstance(statement, Insert) else None)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - always so for statements other than DDL
        self.text = str(compiled)
        self._converters: list[tuple[int, Callable[[object], object]]] = []
        self._constants: list[tuple[int, object]] = []  # parameters with a value in the statement
        fields = []
        for at, name in enumerate(compiled.positiontup or ()):
            bind = compiled.binds[name]
            field = name.removeprefix(_KEY) if is_struct else name
            if field not in names and not bind.required:
                self._constants.append((at, bind.effective_value))
            else:
                fields.append(field)
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None:
                self._converters.append((at, convert))
        getter: Callable[..., tuple[object, ...]] = attrgetter(*fields) if is_struct else itemgetter(*fields)
        self._read = getter if len(fields) > 1 else lambda row: (getter(row),)

    def arguments(self, row: Values) -> tuple[object, ...]:
        """Return the values of a row as the driver takes them."""
        values = self._read(row)
        if not self._converters and not self._constants:
            return values
        converted = list(values)
        for at, constant in self._constants:
            converted.insert(at, constant)
        for at, convert in self._converters:
            converted[at] = convert(converted[at])
        return tuple(converted)


def sqlite_driver(connection: WriteConnection) -> SqliteConnection | None:
    """Return the driver's connection if it is a synchronous one to SQLite, else None."""
    return connection.connection.driver_connection if connection.dialect.driver == "pysqlite" else None
