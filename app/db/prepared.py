"""Statements of the hot path, made ready once and handed to the driver as text and values.

Finding a statement in SQLAlchemy's cache, naming its parameters and looking at each of them anew takes three
to ten times as long as the statement itself; what it is made into here is the same text with the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from app.db.database import ReadConnection, WriteConnection

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
        if rows:
            ready = self._ready_for(connection, rows[0])
            connection.exec_driver_sql(ready.text, [ready.arguments(row) for row in rows])

    def find(self, connection: ReadConnection, values: Values) -> Sequence[Any]:
        """Execute a query whose columns the driver gives as they are: numbers and texts, no times and no JSON."""
        ready = self._ready_for(connection, values)
        return connection.exec_driver_sql(ready.text, ready.arguments(values)).all()

    def _ready_for(self, connection: ReadConnection, values: Values) -> _Ready:
        key = (connection.dialect.name, tuple(values))
        if key not in self._ready:
            self._ready[key] = _make_ready(self._choose(key[0]), connection.dialect, key[1])
        return self._ready[key]

    def _choose(self, dialect: str) -> ClauseElement:
        return self._statement[dialect] if isinstance(self._statement, Mapping) else self._statement


class _Ready(NamedTuple):
    text: str
    slots: Sequence[tuple[str, Callable[[Any], Any] | None]]
    constants: Values  # that the statement brings along

    def arguments(self, values: Values) -> tuple[Any, ...]:
        if self.constants:
            values = {**self.constants, **values}
        return tuple([values[name] if convert is None else convert(values[name]) for name, convert in self.slots])


def _make_ready(statement: ClauseElement, dialect: Dialect, names: Sequence[str]) -> _Ready:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - statements that change no tables are compiled by it
    slots, constants = [], {}
    for name in compiled.positiontup or ():
        bind = compiled.binds[name]
        slots.append((name, bind.type.dialect_impl(dialect).bind_processor(dialect)))
        if name not in names and not bind.required:
            constants[name] = bind.effective_value
    return _Ready(str(compiled), slots, constants)
