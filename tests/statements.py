"""Hearing of every statement that SQLAlchemy gives to a driver, and of the writes that otherwise bypass it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import Engine, event

from dagbook.db import prepared
from dagbook.db.database import ReadConnection

# What is told of a statement: its text, its values, and whether these are rows of values. On PostgreSQL prepared writes
# have one array for each column instead.
Note = Callable[[str, Any, bool], object]


@contextmanager
def noting_statements(note: Note) -> Iterator[None]:
    """Call ``note`` before each statement; prepared ones go through SQLAlchemy meanwhile."""

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        note(statement, parameters, many)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        with (
            mock.patch.object(prepared, "execute_rows", _execute_rows),
            mock.patch.object(prepared, "execute_arrays", _execute_arrays),
        ):
            yield
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def _execute_rows(connection: ReadConnection, text: str, columns: prepared.Columns) -> prepared.Found:
    rows = list(zip(*columns, strict=True))
    if text.startswith("SELECT"):  # of which several cannot be executed at once
        return [found for row in rows for found in connection.exec_driver_sql(text, row)]
    connection.exec_driver_sql(text, rows)
    return ()


def _execute_arrays(connection: ReadConnection, text: str, columns: prepared.Columns) -> prepared.Found:
    found = connection.exec_driver_sql(text, tuple(columns))
    return found.all() if found.returns_rows else ()
