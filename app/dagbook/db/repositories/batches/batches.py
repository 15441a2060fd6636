"""Batches: who has asked what, and how far each one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, or_, select, true, update

from dagbook.db.database import BATCHES, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.batch import IS_OPEN, Batch, BatchItem
from dagbook.db.models.definition import Dag
from dagbook.db.repositories import changes
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.statements import all_rows, columns, first_row
from dagbook.json_values import Json

START, RETRY, AGAIN, STOP, DEQUEUE, DELETE = "start", "retry", "again", "stop", "dequeue", "delete"
CURRENT, ORIGINAL = "current", "original"


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch to store."""

    action: str
    dag_id: int | None
    filter: Mapping[str, Json]
    params: Mapping[str, str]
    revision: str
    parallel: int
    item_order: str
    on_failure: str
    reason: str | None
    actor: Mapping[str, Json]
    created_at: datetime
    created_by: str | None
    created_by_id: str | None


class BatchRow(NewBatch, frozen=True, kw_only=True):
    """A batch, with the present file name of its DAG."""

    id: int
    paused_at: datetime | None
    paused_by: str | None
    paused_why: str | None
    cancelled_at: datetime | None
    cancelled_by: str | None
    ended_at: datetime | None
    file_name: str | None = None
    dag_name: str | None = None


class ItemCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many items of a batch have each state."""

    planned: int = 0
    begun: int = 0
    done: int = 0
    failed: int = 0
    left_out: int = 0


_select = select(*columns(Batch, BatchRow), Dag.file_name, Dag.dag_name).outerjoin(Dag, Dag.id == Batch.dag_id)
_find_open = _select.where(IS_OPEN).order_by(Batch.id)


def add(connection: WriteConnection, batch: NewBatch) -> int:
    """Store a batch and return its id."""
    mark_changed(connection, BATCHES)
    added = insert(Batch).values(msgspec.structs.asdict(batch)).returning(Batch.id)
    key = connection.execute(added).scalar_one()
    lock(connection, key)
    return key


def get(
    connection: ReadConnection, batch: int, visibility: Visibility = EVERYTHING, user: str | None = None
) -> BatchRow | None:
    """Return a batch that is visible: one of a visible DAG, or of this user."""
    return first_row(connection, BatchRow, _select.where(Batch.id == batch, *_visible(visibility, user)))


def find_of_run(connection: ReadConnection, run: int, visibility: Visibility, user: str | None) -> BatchRow | None:
    """Return the newest visible batch of which an item has begun with a run."""
    of_run = Batch.id.in_(select(BatchItem.batch_id).where(BatchItem.run_id == run))
    newest = _select.where(of_run, *_visible(visibility, user)).order_by(Batch.id.desc()).limit(1)
    return first_row(connection, BatchRow, newest)


def find_open(connection: ReadConnection) -> Sequence[BatchRow]:
    """Return the batches that have not ended, oldest first."""
    return all_rows(connection, BatchRow, _find_open)


def find_page(
    connection: ReadConnection, before: int | None, most: int, visibility: Visibility, user: str | None
) -> Sequence[BatchRow]:
    """Return visible batches, newest first: those before one, if it is given."""
    older = () if before is None else (Batch.id < before,)
    page = _select.where(*older, *_visible(visibility, user)).order_by(Batch.id.desc()).limit(most)
    return all_rows(connection, BatchRow, page)


def _visible(visibility: Visibility, user: str | None) -> list[ColumnElement[bool]]:
    is_seen = and_(true(), *dag_access.narrow(Dag.dag_name, visibility))
    return [or_(is_seen, Batch.created_by_id == user) if user is not None else is_seen] if visibility else []


def find_filters(connection: ReadConnection, action: str, most: int) -> dict[int, dict[str, Json]]:
    """Return what the newest batches of an action were asked, by their ids."""
    newest = select(Batch.id, Batch.filter).where(Batch.action == action).order_by(Batch.id.desc()).limit(most)
    return {row.id: row.filter for row in connection.execute(newest)}


def count_items(connection: ReadConnection, batches: Sequence[int]) -> dict[int, ItemCounts]:
    """Count the items of batches by their states."""
    grouped = (
        select(BatchItem.batch_id, BatchItem.state, func.count().label("number"))
        .where(BatchItem.batch_id.in_(batches))
        .group_by(BatchItem.batch_id, BatchItem.state)
    )
    found: dict[int, dict[str, int]] = {batch: {} for batch in batches}
    for row in connection.execute(grouped):
        found[row.batch_id][row.state] = row.number
    return {batch: ItemCounts(**counts) for batch, counts in found.items()}


def lock(connection: WriteConnection, batch: int) -> BatchRow | None:
    """Lock a batch, to change it or its items, until the end of the transaction: no item of it begins meanwhile.

    The live feed reports the change.
    """
    connection.execute(select(Batch.id).where(Batch.id == batch).with_for_update())
    row = get(connection, batch)
    if row is not None:
        changes.add_batch_change(connection, row.dag_name)
    return row


def pause_open(connection: WriteConnection, why: str, at: datetime, batch: int | None = None) -> None:
    """Pause all open batches that are not paused, or one of them."""
    paused = update(Batch).where(IS_OPEN, Batch.paused_at.is_(None))
    if batch is not None:
        lock(connection, batch)
        paused = paused.where(Batch.id == batch)
    connection.execute(paused.values(paused_at=at, paused_why=why))


def change(connection: WriteConnection, batch: int, **values: object) -> None:
    """Set columns of a locked batch."""
    connection.execute(update(Batch).where(Batch.id == batch).values(values))
    mark_changed(connection, BATCHES)


# -- retention -----------------------------------------------------------------------------------------------------


def find_past(connection: ReadConnection, before: datetime) -> Sequence[int]:
    """Return the batches that ended before a time, and of whose runs none is left, begun with or done again."""
    has_run = exists().where(
        BatchItem.batch_id == Batch.id, or_(BatchItem.run_id.is_not(None), BatchItem.source_run.is_not(None))
    )
    past = select(Batch.id).where(Batch.ended_at < before, ~has_run)
    return connection.scalars(past.order_by(Batch.id)).all()


def remove_past(connection: WriteConnection, batch: int, most: int) -> int:
    """Delete at most some items of an ended batch, and itself without any; returns how many rows these were."""
    is_ended = Batch.ended_at.is_not(None)  # it may have been retried meanwhile
    if connection.scalar(select(Batch.id).where(Batch.id == batch, is_ended).with_for_update()) is None:
        return 0
    places = select(BatchItem.place).where(BatchItem.batch_id == batch).order_by(BatchItem.place).limit(most)
    removed = delete(BatchItem).where(BatchItem.batch_id == batch, BatchItem.place.in_(places))
    return connection.execute(removed).rowcount or connection.execute(delete(Batch).where(Batch.id == batch)).rowcount
