"""Rows of statements as structs; a struct has one field per column."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import BigInteger, Executable, Integer, func, literal_column, type_coerce
from sqlalchemy import cast as sql_cast

from dagbook.db.database import ReadConnection

T = TypeVar("T")


def all_rows(connection: ReadConnection, kind: type[T], statement: Executable, /, **values: object) -> list[T]:
    """Return every row of a statement."""
    return [kind(**row) for row in connection.execute(statement, values).mappings()]


def first_row(connection: ReadConnection, kind: type[T], statement: Executable, /, **values: object) -> T | None:
    """Return the first row of a statement, or None."""
    row = connection.execute(statement, values).mappings().first()
    return None if row is None else kind(**row)


def seconds(dialect: str, column: Any) -> Any:
    """Select a time in whole seconds since 1970: converting rows to datetimes takes as long as reading them."""
    if dialect == "postgresql":
        return sql_cast(func.floor(func.extract("epoch", column)), BigInteger)
    return type_coerce(type_coerce(column, BigInteger).op("/")(literal_column("1000000")), Integer)
