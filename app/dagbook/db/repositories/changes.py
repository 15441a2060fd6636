"""The live feed's rows: what has changed for those who look, in the order in which they can be told of it.

On SQLite that is the order of the numbers, for there is one writer. On PostgreSQL a transaction may commit after
another one that took higher numbers; so changes are ordered by the transaction first, and told of only below the
oldest transaction that still runs: nothing can appear there any more (house design section 6).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Text, bindparam, cast, delete, func, insert, literal, literal_column, select, tuple_
from sqlalchemy.orm import aliased

from dagbook.clock import now
from dagbook.db.database import OUTPUT, VISIBLE, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.change import Change
from dagbook.db.models.run import Run, RunEvent
from dagbook.db.prepared import Prepared
from dagbook.db.types import OrderedJson, UtcDateTime

RUN, DAG, QUEUE = "run", "dag", "queue"
_START = "begin"  # the first row of a table without others: what came before it is not known
_REMOVED = {"what": "removed"}


class FeedCursor(msgspec.Struct, frozen=True, order=True):
    """Where a change stands in the order of the feed; clients know it as ``number`` or ``xact.number``."""

    xact: int = 0
    number: int = 0

    def __str__(self) -> str:
        """Write the place as clients are given it."""
        return f"{self.xact}.{self.number}" if self.xact else str(self.number)


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

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
    data: dict[str, Any] | None


class Batch(msgspec.Struct, frozen=True):
    """Changes that may be told of, in order, and whether others wait for a transaction to end."""

    changes: Sequence[ChangeRow]
    waiting: bool


class FeedRange(msgspec.Struct, frozen=True):
    """What the feed holds: its first place and its last one that may be told of; None for an empty one."""

    first: FeedCursor | None
    last: FeedCursor | None
    horizon: int  # on PostgreSQL the oldest transaction that still runs

    def covers(self, place: FeedCursor) -> bool:
        """Whether all that came after a place is still there, and the place is one of this very feed."""
        if self.first is None or self.last is None or place < self.first:
            return False
        return place.xact < self.horizon if self.horizon else place <= self.last


_own_xact = cast(cast(func.pg_current_xact_id(), Text), BigInteger)
_horizon = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
_beyond = cast(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text), BigInteger)
_XACTS = {"sqlite": literal_column("0"), "postgresql": _own_xact}

_root = aliased(Run)
_last_event = select(func.max(RunEvent.seq)).where(RunEvent.run_id == Run.id).correlate(Run).scalar_subquery()
_RUN_COLUMNS = (
    "xact",
    "at",
    "kind",
    "dag_name",
    "run_id",
    "root_name",
    "root_run_id",
    "attempt",
    "status",
    "event",
    "data",
)


def _insert_run(xact: Any) -> Any:
    """Make the statement that tells of a run as its rows are by then, so that no caller has to know its names."""
    shown = select(
        xact,
        bindparam("at", type_=UtcDateTime()),
        literal_column(f"'{RUN}'"),
        Run.dag_name,
        Run.run_id,
        _root.dag_name,
        _root.run_id,
        Run.attempt,
        Run.status,
        _last_event,
        bindparam("data", type_=OrderedJson()),
    )
    return insert(Change).from_select(
        _RUN_COLUMNS, shown.outerjoin(_root, _root.id == Run.root_id).where(Run.id == bindparam("key"))
    )


_add_runs = Prepared({name: _insert_run(xact) for name, xact in _XACTS.items()})
_add_others = Prepared({name: insert(Change).values(xact=xact) for name, xact in _XACTS.items()})

_columns = [column for column in Change.__table__.columns if column.name not in ("number", "xact")]
_after_cursor = tuple_(Change.xact, Change.number) > tuple_(bindparam("xact"), bindparam("number"))
_find_after = {
    "sqlite": select(Change.number, Change.xact, literal(True).label("settled"), *_columns)
    .where(Change.number > bindparam("number"))
    .order_by(Change.number)
    .limit(bindparam("most")),
    "postgresql": select(Change.number, Change.xact, (Change.xact < _horizon).label("settled"), *_columns)
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


# -- telling -------------------------------------------------------------------------------------------------------


def add_run_changes(connection: WriteConnection, keys: Collection[int]) -> None:
    """Tell that these runs, or their steps, have changed; after all that was changed in this transaction."""
    _add_run_changes(connection, keys, None)


def add_removed_changes(connection: WriteConnection, keys: Collection[int]) -> None:
    """Tell that these runs go; before they do, for they name themselves."""
    _add_run_changes(connection, keys, _REMOVED)


def _add_run_changes(connection: WriteConnection, keys: Collection[int], data: dict[str, Any] | None) -> None:
    if keys:
        at = now()
        _add_runs.execute_many(connection, [{"key": key, "at": at, "data": data} for key in sorted(keys)])
        mark_changed(connection, VISIBLE)


def add_dag_change(connection: WriteConnection, dag_name: str, what: str, **data: Any) -> None:
    """Tell that a stored DAG was created, saved, renamed and so on."""
    _add(connection, [{"kind": DAG, "dag_name": dag_name, "data": {"what": what, **data}}])


def add_queue_changes(connection: WriteConnection, names: Collection[str]) -> None:
    """Tell that these queues hold others, in another order, or for another reason."""
    _add(connection, [{"kind": QUEUE, "dag_name": None, "data": {"queue": name}} for name in sorted(names)])


def add_output_change(connection: WriteConnection) -> None:
    """Tell this process alone that output was stored: there is no row for it, whoever follows a run looks."""
    mark_changed(connection, OUTPUT)


def _add(connection: WriteConnection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        at = now()
        _add_others.execute_many(connection, [{"at": at, **row} for row in rows])
        mark_changed(connection, VISIBLE)


# -- reading -------------------------------------------------------------------------------------------------------


def find_after(connection: ReadConnection, place: FeedCursor, most: int) -> Batch:
    """Return the changes behind a place, at most so many."""
    values = {"xact": place.xact, "number": place.number, "most": most}
    rows = connection.execute(_find_after[connection.dialect.name], values).mappings().all()
    settled = [_change_row(row) for row in rows if row["settled"]]
    return Batch(settled, waiting=len(settled) < len(rows))


def _change_row(row: Any) -> ChangeRow:
    return ChangeRow(
        cursor=FeedCursor(row["xact"], row["number"]), **{column.name: row[column.name] for column in _columns}
    )


def get_range(connection: ReadConnection) -> FeedRange:
    """Return from where to where the feed can be read."""
    postgres = connection.dialect.name == "postgresql"
    first = connection.execute((_find_first if postgres else _find_first_numbers).limit(1)).first()
    last = connection.execute(_find_last if postgres else _find_last_number).first()
    horizon = connection.execute(select(_horizon)).scalar() if postgres else 0
    return FeedRange(
        first and FeedCursor(first.xact, first.number), last and FeedCursor(last.xact, last.number), horizon or 0
    )


# -- forgetting ----------------------------------------------------------------------------------------------------


def initialise(connection: WriteConnection) -> None:
    """Give an empty feed its first place, and take out what cannot be of this database.

    After a restore into another cluster there are changes of transactions that are still to come there.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(delete(Change).where(Change.xact >= _beyond))
    if connection.execute(select(Change.number).limit(1)).first() is None:
        _add(connection, [{"kind": _START, "dag_name": None, "data": None}])


def find_expired(connection: ReadConnection, before: datetime, most: int) -> FeedCursor | None:
    """Return the newest place among the first ``most`` that is older than ``before``; None without two of them.

    What is older than that place may go. The place itself stays: who has seen it has missed nothing.
    """
    statement = _find_first if connection.dialect.name == "postgresql" else _find_first_numbers
    found = None
    for count, row in enumerate(connection.execute(statement.limit(most)).all()):
        if row.at >= before:
            break
        found = FeedCursor(row.xact, row.number) if count else None
    return found


def delete_before(connection: WriteConnection, before: FeedCursor) -> int:
    """Remove all changes before a place, and tell how many."""
    if connection.dialect.name == "postgresql":
        older = tuple_(Change.xact, Change.number) < tuple_(literal(before.xact), literal(before.number))
    else:
        older = Change.number < before.number
    return connection.execute(delete(Change).where(older)).rowcount
