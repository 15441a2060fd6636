"""Rows of the live feed, in the order in which they can be published.

On SQLite, which has one writer, that is the order of the numbers. On PostgreSQL a transaction may commit after another
one with higher numbers; therefore changes are ordered by transaction id first, and published only below the oldest
open transaction, where no more can appear (house design section 6).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.orm import aliased

from dagbook.clock import now
from dagbook.db.database import OUTPUT, VISIBLE, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.audit import Change
from dagbook.db.models.run import Run, RunEvent
from dagbook.db.prepared import Prepared, parameters

RUN, DAG, QUEUE, CHANNEL, BATCH = "run", "dag", "queue", "channel", "batch"
_START = "begin"  # first row of an empty feed: earlier changes are unknown

# What was done to a run, and to a stored DAG.
What = Literal["removed", "created", "saved", "renamed", "deleted", "suspended", "resumed", "redacted", "configured"]
_own_xact = cast(cast(func.pg_current_xact_id(), Text), BigInteger)
_horizon = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
_beyond = cast(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text), BigInteger)
_XACTS: Mapping[str, ColumnElement[int]] = {"sqlite": literal_column("0"), "postgresql": _own_xact}
_others = parameters(Change, ("at", "kind", "dag_name", "data"))
_root = aliased(Run)
_last_event = select(func.max(RunEvent.seq)).where(RunEvent.run_id == Run.id).correlate(Run).scalar_subquery()
_columns = [column for column in Change.__table__.columns if column.name not in ("number", "xact")]
_RUN_COLUMNS = ("xact", *(column.name for column in _columns))
_after_cursor = tuple_(Change.xact, Change.number) > tuple_(bindparam("xact"), bindparam("number"))
_find_after = {
    "sqlite": select(Change.number, Change.xact, literal(True).label("is_final"), *_columns)
    .where(Change.number > bindparam("number"))
    .order_by(Change.number)
    .limit(bindparam("most")),
    "postgresql": select(Change.number, Change.xact, (Change.xact < _horizon).label("is_final"), *_columns)
    .where(_after_cursor)
    .order_by(Change.xact, Change.number)
    .limit(bindparam("most")),
}
_find_first = select(Change.xact, Change.number, Change.at).order_by(Change.xact, Change.number)
_find_first_numbers = select(Change.xact, Change.number, Change.at).order_by(Change.number)
_find_last = (
    select(Change.xact, Change.number)
    .where(Change.xact < _horizon)
    .order_by(Change.xact.desc(), Change.number.desc())
    .limit(1)
)
_find_last_number = select(Change.xact, Change.number).order_by(Change.number.desc()).limit(1)


class FeedCursor(msgspec.Struct, frozen=True, order=True):
    """Position of a change in the feed; clients receive it as ``number`` or ``xact.number``."""

    xact: int = 0
    number: int = 0

    def __str__(self) -> str:
        """Format the cursor for clients."""
        return f"{self.xact}.{self.number}" if self.xact else str(self.number)


class ChangeData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a change has beside its columns: of a DAG what was done and names, of a queue its name."""

    what: What | None = None
    file_name: str = ""
    new_file_name: str | UnsetType = UNSET
    old_dag_name: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    queue: str = ""


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the live feed."""

    cursor: FeedCursor
    at: datetime
    kind: str
    dag_name: str | None
    run_id: str | None
    root_name: str | None
    root_run_id: str | None
    attempt: int | None
    status: int | None
    event: int | None
    data: ChangeData


class Batch(msgspec.Struct, frozen=True):
    """Changes to publish, in order, and whether others wait for the end of a transaction."""

    changes: Sequence[ChangeRow]
    waiting: bool


class FeedRange(msgspec.Struct, frozen=True):
    """First and last publishable cursor of the feed; None when there is none."""

    first: FeedCursor | None
    last: FeedCursor | None
    horizon: int  # the oldest open transaction on PostgreSQL, 0 on SQLite

    def covers(self, cursor: FeedCursor) -> bool:
        """Whether the feed still has all changes after a cursor, and the cursor is of this feed."""
        if self.first is None or self.last is None or cursor < self.first:
            return False
        return cursor.xact < self.horizon if self.horizon else cursor <= self.last


def _insert_run(xact: ColumnElement[int]) -> Insert:
    """Return the statement that adds a change with the run's current names, status and last event."""
    at, data = parameters(Change, ("at", "data")).values()
    columns = select(
        xact,
        at,
        literal_column(f"'{RUN}'"),
        Run.dag_name,
        Run.run_id,
        _root.dag_name,
        _root.run_id,
        Run.attempt,
        Run.status,
        _last_event,
        data,
    )
    return insert(Change).from_select(
        _RUN_COLUMNS, columns.outerjoin(_root, _root.id == Run.root_id).where(Run.id == bindparam("key"))
    )


_add_runs = Prepared({name: _insert_run(xact) for name, xact in _XACTS.items()})
_add_others = Prepared(
    {n: insert(Change).from_select(["xact", *_others], select(x, *_others.values())) for n, x in _XACTS.items()}
)


# -- adding --------------------------------------------------------------------------------------------------------


def add_run_changes(connection: WriteConnection, keys: Collection[int]) -> None:
    """Add changes of runs or their steps; call it after all other writes of the transaction."""
    _add_run_changes(connection, keys, None)


def add_removed_changes(connection: WriteConnection, keys: Collection[int]) -> None:
    """Add the deletion of runs; call it before they are deleted, because it reads their names."""
    _add_run_changes(connection, keys, ChangeData(what="removed"))


def _add_run_changes(connection: WriteConnection, keys: Collection[int], data: ChangeData | None) -> None:
    if keys:
        at = now()
        _add_runs.execute_many(connection, [{"key": key, "at": at, "data": data} for key in sorted(keys)])
        mark_changed(connection, VISIBLE)


def add_dag_change(connection: WriteConnection, dag_name: str, data: ChangeData) -> None:
    """Add a change of a stored DAG: created, saved, renamed and so on."""
    _add(connection, [{"kind": DAG, "dag_name": dag_name, "data": data}])


def add_queue_changes(connection: WriteConnection, names: Collection[str]) -> None:
    """Add changes of queues: other entries, another order, or other wait reasons."""
    _add(connection, [{"kind": QUEUE, "dag_name": None, "data": ChangeData(queue=name)} for name in sorted(names)])


def add_channel_change(connection: WriteConnection) -> None:
    """Add that a channel of alerts fails, or does not any more."""
    _add(connection, [{"kind": CHANNEL, "dag_name": None, "data": None}])


def add_batch_change(connection: WriteConnection, dag_name: str | None) -> None:
    """Add that a batch, or what became of its items, has changed; without a DAG it is one of several."""
    _add(connection, [{"kind": BATCH, "dag_name": dag_name, "data": None}])


def add_output_change(connection: WriteConnection) -> None:
    """Notify only this process of stored output: it has no rows in the feed, and clients that follow a run poll."""
    mark_changed(connection, OUTPUT)


def _add(connection: WriteConnection, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        at = now()
        _add_others.execute_many(connection, [{"at": at, **row} for row in rows])
        mark_changed(connection, VISIBLE)


# -- reading -------------------------------------------------------------------------------------------------------


def find_after(connection: ReadConnection, cursor: FeedCursor, most: int) -> Batch:
    """Return at most ``most`` changes after a cursor."""
    values = {"xact": cursor.xact, "number": cursor.number, "most": most}
    rows = connection.execute(_find_after[connection.dialect.name], values).mappings().all()
    final = []
    for row in rows:
        if row["is_final"]:
            columns = {column.name: row[column.name] for column in _columns if column.name != "data"}
            data = msgspec.convert(row["data"] or {}, ChangeData)
            final.append(ChangeRow(cursor=FeedCursor(row["xact"], row["number"]), data=data, **columns))
    return Batch(final, waiting=len(final) < len(rows))


def get_range(connection: ReadConnection) -> FeedRange:
    """Return the range of the feed that can be read."""
    postgres = connection.dialect.name == "postgresql"
    first = connection.execute((_find_first if postgres else _find_first_numbers).limit(1)).first()
    last = connection.execute(_find_last if postgres else _find_last_number).first()
    horizon = connection.execute(select(_horizon)).scalar() if postgres else 0
    return FeedRange(
        first and FeedCursor(first.xact, first.number), last and FeedCursor(last.xact, last.number), horizon or 0
    )


# -- deleting ------------------------------------------------------------------------------------------------------


def initialise(connection: WriteConnection) -> None:
    """Add the first row of an empty feed, and delete changes that cannot be of this cluster.

    After a restore into another PostgreSQL cluster, changes may have transaction ids that are in its future.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(delete(Change).where(Change.xact >= _beyond))
    if connection.execute(select(Change.number).limit(1)).first() is None:
        _add(connection, [{"kind": _START, "dag_name": None, "data": None}])


def find_expired(connection: ReadConnection, before: datetime, most: int) -> FeedCursor | None:
    """Return the last cursor before a time among the first ``most`` changes; None if there are not two.

    Changes before that cursor may be deleted. The change itself stays, so that a client with this cursor misses none.
    """
    statement = _find_first if connection.dialect.name == "postgresql" else _find_first_numbers
    found = None
    for count, row in enumerate(connection.execute(statement.limit(most)).all()):
        if row.at >= before:
            break
        found = FeedCursor(row.xact, row.number) if count else None
    return found


def delete_before(connection: WriteConnection, before: FeedCursor) -> int:
    """Delete all changes before a cursor, and return their number."""
    if connection.dialect.name == "postgresql":
        older = tuple_(Change.xact, Change.number) < tuple_(literal(before.xact), literal(before.number))
    else:
        older = Change.number < before.number
    return connection.execute(delete(Change).where(older)).rowcount
