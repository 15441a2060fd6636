"""Turns of batch items, in the commit that accepts a run or an attempt: so no item begins twice, on any server.

Each commit locks the batches first, and counts what they have begun: none of them ever has more than ``parallel``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import bindparam, func, select

from dagbook.db.database import BATCHES, ReadConnection, WriteConnection, mark_changed
from dagbook.db.models.batch import IS_BEGUN, IS_OPEN, IS_PLANNED, Batch, BatchItem
from dagbook.db.prepared import Prepared, update_by
from dagbook.db.statements import is_one_of

_lock_batches = (
    select(Batch.id, Batch.parallel)
    .where(is_one_of(Batch.id, "batches"), IS_OPEN, Batch.paused_at.is_(None), Batch.cancelled_at.is_(None))
    .order_by(Batch.id)
    .with_for_update()
)
_count_begun = (
    select(BatchItem.batch_id, func.count().label("number"))
    .where(is_one_of(BatchItem.batch_id, "batches"), IS_BEGUN)
    .group_by(BatchItem.batch_id)
)
_find_planned = Prepared(
    select(BatchItem.batch_id, BatchItem.place).where(
        BatchItem.batch_id == bindparam("batch"), BatchItem.place == bindparam("place"), IS_PLANNED
    )
)
_begin = Prepared(update_by(BatchItem, ["state", "run_id", "attempt", "why"], "batch_id", "place"))


class ItemKey(msgspec.Struct, frozen=True, order=True):
    """An item of a batch."""

    batch: int
    place: int


class Turns:
    """The items that may begin in a commit: planned ones, as far as their batches have room."""

    def __init__(self, connection: WriteConnection, keys: Iterable[ItemKey | None]) -> None:
        """Lock the batches of these items until the end of the transaction; without items nothing is read."""
        wanted = sorted({key for key in keys if key is not None})
        self._room: dict[int, int] = {}
        self._planned: set[ItemKey] = set()
        if wanted:
            open_batches = connection.execute(_lock_batches, {"batches": sorted({key.batch for key in wanted})}).all()
            begun = count_begun(connection, [row.id for row in open_batches])
            self._room = {row.id: row.parallel - begun.get(row.id, 0) for row in open_batches}
            rows = [{"batch": key.batch, "place": key.place} for key in wanted if key.batch in self._room]
            self._planned = {ItemKey(*row) for row in _find_planned.execute_many(connection, rows)}

    def may_begin(self, key: ItemKey) -> bool:
        return key in self._planned and self._room[key.batch] > 0

    def take(self, key: ItemKey) -> None:
        """Let an item begin, which no other start of this commit may do then."""
        self._planned.discard(key)
        self._room[key.batch] -= 1


def count_begun(connection: ReadConnection, batches: Iterable[int]) -> dict[int, int]:
    """Return how many items of batches have begun.

    An item whose run has finished has its place until that is settled: it may be what the batch has to stop at.
    """
    return {row.batch_id: row.number for row in connection.execute(_count_begun, {"batches": sorted(batches)})}


def begin(connection: WriteConnection, begun: Mapping[ItemKey, tuple[int, int]]) -> None:
    """Store the runs, and their attempts, that items have begun with in this commit."""
    rows = [
        {
            "b_batch_id": key.batch,
            "b_place": key.place,
            "state": "begun",
            "run_id": run,
            "attempt": attempt,
            "why": None,
        }
        for key, (run, attempt) in begun.items()
    ]
    if rows:
        _begin.execute_many(connection, rows)
        mark_changed(connection, BATCHES)
