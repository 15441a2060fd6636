"""Parts of statements that repositories share: rows as structs, insertions with ON CONFLICT, times in seconds."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Executable, Integer, cast, func, literal_column, type_coerce
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import KeyedColumnElement

from dagbook.db.backend import ReadConnection, T, WriteConnection
from dagbook.db.types import Base

insert_into = postgresql.insert  # with ON CONFLICT, which SQLite's dialect writes in the same way


def all_rows(connection: ReadConnection, kind: type[T], statement: Executable, /, **values: object) -> list[T]:
    """Return every row of a statement."""
    return [kind(**row) for row in connection.execute(statement, values).mappings()]


def first_row(connection: ReadConnection, kind: type[T], statement: Executable, /, **values: object) -> T | None:
    """Return the first row of a statement, or None."""
    row = connection.execute(statement, values).mappings().first()
    return None if row is None else kind(**row)


def columns(model: type[Base], kind: type[msgspec.Struct]) -> list[KeyedColumnElement[object]]:
    """Return the columns of a table that are fields of a row."""
    return [column for column in model.__table__.columns if column.name in kind.__struct_fields__]


def put(connection: WriteConnection, model: type[Base], row: msgspec.Struct, *keys: str) -> None:
    """Insert a row, or replace the one with the same keys."""
    values = msgspec.structs.asdict(row)
    others = {name: value for name, value in values.items() if name not in keys}
    insertion = insert_into(model).values(values)
    connection.execute(insertion.on_conflict_do_update(index_elements=keys, set_=others))


def seconds(dialect: str, column: InstrumentedAttribute[datetime | None]) -> ColumnElement[int]:
    """Select a time in whole seconds since 1970: converting rows to datetimes takes as long as reading them."""
    if dialect == "postgresql":
        return cast(func.floor(func.extract("epoch", column)), BigInteger)
    return type_coerce(type_coerce(column, BigInteger).op("/")(literal_column("1000000")), Integer)
