"""Hearing of every statement that SQLAlchemy gives to a driver, and of the writes that otherwise bypass it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import Engine, event

from dagbook.db import prepared

# What is told of a statement: its text, its values, and whether these are rows of values.
Note = Callable[[str, Any, bool], object]


@contextmanager
def noting_statements(note: Note) -> Iterator[None]:
    """Call ``note`` before each statement; on SQLite, prepared writes go through SQLAlchemy meanwhile."""

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        note(statement, parameters, many)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        with mock.patch.object(prepared, "sqlite_driver", return_value=None):
            yield
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
