"""Values that are encrypted with the key of the installation, wherever they are: counted by key, and replaced.

A value begins with a byte for its form, then the name of its key (``dagbook.runs.secrets.encryption``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, LargeBinary, bindparam, func, literal_column, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models import AlertChannel, AuditSeal, Node, RunInput, Source, Trigger

# No parameters: PostgreSQL would group by another expression.
_AT: ColumnElement[int] = literal_column("2")
_BYTES: ColumnElement[int] = literal_column("8")
Position = tuple[int, ...]  # the primary key of a row
EncryptedColumn = InstrumentedAttribute[bytes | None] | InstrumentedAttribute[bytes]


class Place(NamedTuple):
    """A column of encrypted values, the primary key of its rows, and what a value belongs to, by other columns."""

    column: EncryptedColumn
    keys: Sequence[InstrumentedAttribute[int]]
    about: str
    name: InstrumentedAttribute[str] | None = None

    def get(self) -> EncryptedColumn:
        """Return the column; to the type checker, an attribute of that name is the value of a row."""
        return self[0]


places = (
    Place(RunInput.sealed, (RunInput.run_id,), "inputs/{run_id}"),
    Place(Node.output_sealed, (Node.run_id, Node.attempt, Node.position), "node/{run_id}/{position}"),
    Place(Source.hook_secret, (Source.id,), "source {name}", Source.name),
    *(
        Place(column, (AlertChannel.id,), "channel {name}", AlertChannel.name)
        for column in (AlertChannel.sealed, AlertChannel.sealed_before)
    ),
    *(
        Place(column, (Trigger.id,), "trigger {name}", Trigger.name)
        for column in (Trigger.sealed, Trigger.sealed_before)
    ),
)


class EncryptedValue(msgspec.Struct, frozen=True):
    """An encrypted value, the primary key of its row, and what it belongs to."""

    position: Position
    about: str
    data: bytes


def _name_of(column: EncryptedColumn) -> ColumnElement[bytes]:
    return func.substr(column, _AT, _BYTES, type_=LargeBinary)


def count_by_key(connection: ReadConnection) -> dict[str, int]:
    """Count the values of each key, by its name; reads all of them."""
    found: dict[str, int] = {}
    for place in places:
        name = _name_of(place.get())
        for key, count in connection.execute(select(name, func.count()).where(place.get().is_not(None)).group_by(name)):
            found[key.hex()] = found.get(key.hex(), 0) + count
    return found


def count_seals_by_key(connection: ReadConnection) -> dict[str, int]:
    """Count the seals of the audit that each key has signed, without those over pruned entries."""
    name = _name_of(AuditSeal.signature)
    rows = connection.execute(select(name, func.count()).where(AuditSeal.pruned_at.is_(None)).group_by(name))
    return {key.hex(): count for key, count in rows}


def find_last(
    connection: ReadConnection, place: Place, names: Collection[bytes], after: Position, most: int
) -> Position:
    """Return the last of the next rows with values of these keys, at most so many; empty if there is none."""
    rows = connection.execute(
        select(*place.keys).where(*_of_keys(place, names, after)).order_by(*place.keys).limit(most)
    ).all()
    return tuple(rows[-1]) if rows else ()


def lock(
    connection: WriteConnection, place: Place, names: Collection[bytes], after: Position, last: Position
) -> list[EncryptedValue]:
    """Lock the values of these keys between two rows and return them, without rows that others have locked.

    It waits for none, since their writers lock more rows in an order of their own.
    """
    named = () if place.name is None else (place.name,)
    rows = connection.execute(
        select(place.get().label("data"), *place.keys, *named)
        .where(*_of_keys(place, names, after), tuple_(*place.keys) <= last)
        .with_for_update(skip_locked=True)
    ).mappings()
    return [
        EncryptedValue(tuple(row[key.key] for key in place.keys), place.about.format_map(row), bytes(row["data"]))
        for row in rows
    ]


def _of_keys(place: Place, names: Collection[bytes], after: Position) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [place.get().is_not(None), _name_of(place.get()).in_(names)]
    return [*wanted, tuple_(*place.keys) > after] if after else wanted


def replace(connection: WriteConnection, place: Place, values: Sequence[EncryptedValue]) -> None:
    """Store values in place of those of locked rows."""
    keys = [key == bindparam(f"key_{number}") for number, key in enumerate(place.keys)]
    statement = update(place.get().class_).where(*keys).values({place.get().key: bindparam("data")})
    rows = [
        {f"key_{number}": part for number, part in enumerate(value.position)} | {"data": value.data} for value in values
    ]
    if rows:
        connection.execute(statement, rows)
