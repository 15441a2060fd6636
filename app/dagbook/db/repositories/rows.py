"""Rows as mappings from column name to value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import BigInteger, Executable, Integer, func, literal_column, type_coerce
from sqlalchemy import cast as sql_cast

from dagbook.db.database import ReadConnection

Row = Mapping[str, Any]


def all_rows(connection: ReadConnection, statement: Executable, **values: object) -> Sequence[Row]:
    """Return every row of a statement."""
    return cast(Sequence[Row], connection.execute(statement, values).mappings().all())


def first_row(connection: ReadConnection, statement: Executable, **values: object) -> Row | None:
    """Return the first row of a statement, or None."""
    return cast(Row | None, connection.execute(statement, values).mappings().first())


def seconds(dialect: str, column: Any) -> Any:
    """Select a time in whole seconds since 1970: converting rows to datetimes takes as long as reading them."""
    if dialect == "postgresql":
        return sql_cast(func.floor(func.extract("epoch", column)), BigInteger)
    return type_coerce(type_coerce(column, BigInteger).op("/")(literal_column("1000000")), Integer)
