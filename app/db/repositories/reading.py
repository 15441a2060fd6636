"""Rows as mappings from column name to value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Executable

from app.db.database import ReadConnection

Row = Mapping[str, Any]


def all_rows(connection: ReadConnection, statement: Executable, **values: object) -> Sequence[Row]:
    """Return every row of a statement."""
    return cast(Sequence[Row], connection.execute(statement, values).mappings().all())


def first_row(connection: ReadConnection, statement: Executable, **values: object) -> Row | None:
    """Return the first row of a statement, or None."""
    return cast(Row | None, connection.execute(statement, values).mappings().first())
