"""Base of the models, and column types that are equivalent on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Literal

import msgspec
from sqlalchemy import BigInteger, DateTime, Dialect, Index, Integer, MetaData, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json

# What became of a scheduled minute, and which missed starts are made up.
SlotResult = Literal[
    "started", "queued", "stopped", "restarting", "restarted", "skipped", "suspended", "missed", "failed"
]
CatchUp = Literal["none", "latest", "all"]

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite generates values only for INTEGER primary keys; its integers have 64 bits anyway.
BigKey = BigInteger().with_variant(Integer(), "sqlite")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: ``timestamptz`` on PostgreSQL, whole microseconds since 1970 on SQLite.

    Naive values raise ``ValueError``. SQLAlchemy's text format for SQLite would store the local time of an aware value
    without its offset; integers also compare and index faster.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[int] | TypeEngine[datetime]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return (value - _EPOCH) // _MICROSECOND if dialect.name == "sqlite" else value

    def process_result_value(
        self,
        value: datetime | int | None,
        dialect: Dialect,  # noqa: ARG002  # SQLAlchemy's signature
    ) -> datetime | None:
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        return _EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value.astimezone(UTC)


class OrderedJson(TypeDecorator[Json]):
    """JSON stored as the text that msgspec writes, which preserves the order of keys (JSONB does not).

    Accepts everything that msgspec encodes, including structs; returns lists, dicts and scalars. ``None`` is NULL.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy's signature
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:  # noqa: ARG002  # SQLAlchemy's signature
        return None if value is None else msgspec.json.decode(value)


class EnumNumber(TypeDecorator[IntEnum]):
    """A member of an IntEnum, stored as its number."""

    impl = Integer
    cache_ok = True

    def __init__(self, kind: type[IntEnum]) -> None:
        self.kind = kind
        super().__init__()

    @property
    def python_type(self) -> type[IntEnum]:
        return self.kind

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], IntEnum | None]:  # noqa: ARG002
        """Return a lookup, which takes a fraction of the time of calling the enum; an outer join may find none."""
        members: dict[int | None, IntEnum | None] = {int(member): member for member in self.kind}
        return (members | {None: None}).__getitem__


def sqlite_time(column: str) -> str:
    """Return the SQL of a stored time as text in UTC with six decimals, whose order is that of the times.

    The report views show times so; the indexes by which SQLite finds rows by such a text have the same expression.
    """
    text = f"replace(datetime({column} / 1000000, 'unixepoch'), ' ', 'T')"
    return f"{text} || '.' || substr('00000' || ({column} % 1000000), -6) || 'Z'"


def report_index(table: str, column: str) -> Index:
    """Return the index of a table, on SQLite only, by a time as the report views show it."""
    return Index(f"ix_{table}_report", sql(sqlite_time(column))).ddl_if(dialect="sqlite")


class Base(DeclarativeBase):
    """Base of every model. Models are used in Core statements; there are no relationships."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {RunStatus: EnumNumber(RunStatus), NodeStatus: EnumNumber(NodeStatus)}  # noqa: RUF012
