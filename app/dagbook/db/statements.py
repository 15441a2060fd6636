"""Parts of statements that repositories share: rows as structs, lists as parameters, ON CONFLICT, times and ends."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Executable,
    Integer,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    type_coerce,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import KeyedColumnElement, Label
from sqlalchemy.sql.functions import FunctionElement

from dagbook.db.backend import ReadConnection, T, WriteConnection
from dagbook.db.types import Base, OrderedJson, UtcDateTime

insert_into = postgresql.insert  # with ON CONFLICT, which SQLite's dialect writes in the same way


def all_rows(connection: ReadConnection, kind: type[T], statement: Executable, /, **values: object) -> list[T]:
    """Return every row of a statement."""
    found = connection.execute(statement, values)
    names = list(found.keys())
    # Three times as fast as the mappings of SQLAlchemy.
    return [kind(**dict(zip(names, row, strict=True))) for row in found]


def first_row(connection: ReadConnection, kind: type[T], statement: Executable, /, **values: object) -> T | None:
    """Return the first row of a statement, or None."""
    row = connection.execute(statement, values).mappings().first()
    return None if row is None else kind(**row)


def columns(
    model: type[Base], kind: type[msgspec.Struct], *computed: Label[bool]
) -> list[KeyedColumnElement[object] | Label[bool]]:
    """Return the columns of a table that are fields of a row; those that are ``computed`` replace the ones there."""
    names = {each.name for each in computed}
    stored = (
        each for each in model.__table__.columns if each.name in kind.__struct_fields__ and each.name not in names
    )
    return [*stored, *computed]


def put(connection: WriteConnection, model: type[Base], row: msgspec.Struct, *keys: str) -> None:
    """Insert a row, or replace the one with the same keys."""
    values = msgspec.structs.asdict(row)
    others = {name: value for name, value in values.items() if name not in keys}
    insertion = insert_into(model).values(values)
    connection.execute(insertion.on_conflict_do_update(index_elements=keys, set_=others))


class is_one_of(FunctionElement[bool]):  # noqa: N801 - it is used as a function
    """The condition that a column has one of the values of a list, which is one parameter.

    With one for each value, each length of the list is another statement, which PostgreSQL plans again.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[object] | InstrumentedAttribute[object], key: str) -> None:
        values = postgresql.ARRAY(column.type).with_variant(OrderedJson(), "sqlite")
        super().__init__(column, bindparam(key, type_=values))

    def self_group(self, against: object = None) -> Self:  # noqa: ARG002 - SQLAlchemy's signature
        """Stay as it is: SQLAlchemy would write ``= 1`` after it, so that SQLite uses no index."""
        return self


@compiles(is_one_of, "sqlite")
def _as_in(element: is_one_of, compiler: SQLCompiler, **kwargs: object) -> str:
    column, values = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - compiled parts


@compiles(is_one_of, "postgresql")
def _as_any(element: is_one_of, compiler: SQLCompiler, **kwargs: object) -> str:
    column, values = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"{column} = ANY ({values})"


class database_now(FunctionElement[datetime]):  # noqa: N801 - it is used as a function
    """The time of the statement by the clock that all servers share: that of PostgreSQL; on SQLite of this machine."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _in_microseconds(_element: database_now, _compiler: SQLCompiler, **_kwargs: object) -> str:
    # Not unixepoch('subsec'), which needs SQLite 3.42.
    return "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)"


@compiles(database_now, "postgresql")
def _of_statement(_element: database_now, _compiler: SQLCompiler, **_kwargs: object) -> str:
    return "statement_timestamp()"


def is_current(until: InstrumentedAttribute[datetime | None]) -> ColumnElement[bool]:
    """Return the condition that an end has not passed; without an end it is always true."""
    return or_(until.is_(None), until > database_now())


def milliseconds(dialect: str, column: InstrumentedAttribute[datetime | None]) -> ColumnElement[int]:
    """Select a time in milliseconds since 1970: converting rows to datetimes takes as long as reading them."""
    if dialect == "postgresql":
        # EXTRACT calculates in decimal numbers, which takes twice as long. A double has a quarter of a microsecond of
        # these years, so that half a microsecond more corrects its error and changes nothing else.
        epoch = func.date_part(literal_column("'epoch'"), column) * literal_column("1000.0")
        return cast(func.floor(epoch + literal_column("0.0005")), BigInteger)
    return type_coerce(type_coerce(column, BigInteger).op("/")(literal_column("1000")), Integer)
