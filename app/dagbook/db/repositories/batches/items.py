"""Items of batches: what each one is about, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import and_, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.batch import HOLDS_DATE, IS_BEGUN, IS_PLANNED, BatchItem
from dagbook.db.models.definition import Dag
from dagbook.db.models.run import Run
from dagbook.db.prepared import Prepared, update_by
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.statements import all_rows, columns
from dagbook.engine.status import RunStatus

PLANNED, BEGUN, DONE, FAILED, LEFT_OUT = "planned", "begun", "done", "failed", "left_out"
_ACTIVE = (RunStatus.NOT_STARTED, RunStatus.RUNNING, RunStatus.QUEUED)
_add = Prepared(insert(BatchItem))
_settle = Prepared(update_by(BatchItem, ["state", "why"], "batch_id", "place"))


def _name(place: int, minute: datetime | None, zone: str | None) -> str:
    """Return what an item is called in a reason: its scheduled time, else its place."""
    return f"item {place}" if minute is None or zone is None else minute.astimezone(ZoneInfo(zone)).isoformat()


class NewItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item to store."""

    batch_id: int
    place: int
    dag_id: int | None
    minute: datetime | None = None
    zone: str | None = None
    source_run: int | None = None
    state: str = PLANNED


class ItemRow(NewItem, frozen=True, kw_only=True):
    """An item, and the run or attempt that it has begun with."""

    run_id: int | None
    attempt: int | None
    why: str | None

    @property
    def name(self) -> str:
        """What it is called in a reason."""
        return _name(self.place, self.minute, self.zone)

    @property
    def subject(self) -> int | None:
        """The run that is done again: the last one of the item, else its source."""
        return self.source_run if self.run_id is None else self.run_id


class ListedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item with the file name of its DAG, and the names of its runs: the DAG may have got another one since."""

    place: int
    dag: str | None
    dag_name: str | None
    minute: datetime | None
    zone: str | None
    state: str
    why: str | None
    run_name: str | None
    source_name: str | None


class EndedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A begun item whose run has finished, or is gone."""

    place: int
    minute: datetime | None
    zone: str | None
    run_id: int | None
    status: RunStatus | None
    error: str | None

    @property
    def name(self) -> str:
        """What it is called in a reason."""
        return _name(self.place, self.minute, self.zone)


_row = select(*columns(BatchItem, ItemRow))
_next = (
    _row.where(BatchItem.batch_id == bindparam("batch"), IS_PLANNED).order_by(BatchItem.place).limit(bindparam("most"))
)
_ended = (
    select(BatchItem.place, BatchItem.minute, BatchItem.zone, BatchItem.run_id, Run.status, Run.error)
    .outerjoin(Run, Run.id == BatchItem.run_id)
    .where(BatchItem.batch_id == bindparam("batch"), IS_BEGUN, or_(Run.id.is_(None), Run.status.not_in(_ACTIVE)))
    .order_by(BatchItem.place)
)
_has_open = select(BatchItem.place).where(BatchItem.batch_id == bindparam("batch"), or_(IS_PLANNED, IS_BEGUN)).limit(1)
_source = aliased(Run)
_of_dag = func.coalesce(_source.dag_name, Run.dag_name)
_find_page = (
    select(
        *(getattr(BatchItem, name) for name in ("place", "minute", "zone", "state", "why")),
        func.coalesce(Dag.file_name, _of_dag).label("dag"),
        func.coalesce(Dag.dag_name, _of_dag).label("dag_name"),
        Run.run_id.label("run_name"),
        _source.run_id.label("source_name"),
    )
    .outerjoin(Dag, Dag.id == BatchItem.dag_id)
    .outerjoin(Run, Run.id == BatchItem.run_id)
    .outerjoin(_source, _source.id == BatchItem.source_run)
    .where(BatchItem.batch_id == bindparam("batch"), BatchItem.place > bindparam("after"))
    .order_by(BatchItem.place)
    .limit(bindparam("most"))
)


def add(connection: WriteConnection, items: Sequence[NewItem]) -> None:
    """Store items; raises Conflict if another open batch holds one of their scheduled times."""
    _add.execute_many(connection, items)


def find_page(
    connection: ReadConnection,
    batch: int,
    after: int,
    most: int,
    state: str | None = None,
    visibility: Visibility = EVERYTHING,
) -> Sequence[ListedItem]:
    """Return items of a batch in their order, after a place, as far as their DAGs are visible: all, or of a state."""
    page = _find_page.where(*dag_access.narrow(func.coalesce(Dag.dag_name, _of_dag), visibility))
    if state is not None:
        page = page.where(BatchItem.state == state)
    return all_rows(connection, ListedItem, page, batch=batch, after=after, most=most)


def find_next(connection: ReadConnection, batch: int, most: int) -> Sequence[ItemRow]:
    """Return the next planned items of a batch."""
    return all_rows(connection, ItemRow, _next, batch=batch, most=most)


def find_ended(connection: ReadConnection, batch: int) -> Sequence[EndedItem]:
    """Return the begun items of a batch whose runs have finished, or are gone."""
    return all_rows(connection, EndedItem, _ended, batch=batch)


def has_open(connection: ReadConnection, batch: int) -> bool:
    """Whether an item of a batch is planned or begun."""
    return connection.execute(_has_open, {"batch": batch}).first() is not None


def find_holders(connection: ReadConnection, dag: int, first: datetime, last: datetime) -> dict[datetime, int]:
    """Return the open batches that hold scheduled times of a DAG, by these."""
    held = select(BatchItem.minute, BatchItem.batch_id).where(
        BatchItem.dag_id == dag, HOLDS_DATE, BatchItem.minute >= first, BatchItem.minute <= last
    )
    return {row.minute: row.batch_id for row in connection.execute(held)}


def find_active_runs(connection: ReadConnection, batch: int) -> Sequence[tuple[int, str, str, RunStatus]]:
    """Return the keys, DAG names, ids and statuses of the active runs of a batch."""
    begun = (
        select(Run.id, Run.dag_name, Run.run_id, Run.status)
        .join(BatchItem, BatchItem.run_id == Run.id)
        .where(BatchItem.batch_id == batch, IS_BEGUN, Run.status.in_(_ACTIVE))
    )
    return [(row.id, row.dag_name, row.run_id, row.status) for row in connection.execute(begun)]


def settle(connection: WriteConnection, batch: int, ends: Mapping[int, tuple[str, str | None]]) -> None:
    """Store states and reasons of items of a locked batch, by their places."""
    rows = [{"b_batch_id": batch, "b_place": place, "state": state, "why": why} for place, (state, why) in ends.items()]
    _settle.execute_many(connection, rows)


def settle_planned(connection: WriteConnection, batch: int, place: int, state: str, why: str) -> bool:
    """Settle an item of a locked batch that is planned; False if it is not any more."""
    of_item = (BatchItem.batch_id == batch, BatchItem.place == place, IS_PLANNED)
    return connection.execute(update(BatchItem).where(*of_item).values(state=state, why=why)).rowcount == 1


def change_all(connection: WriteConnection, batch: int, before: str, after: str, why: str | None) -> int:
    """Give all items of a locked batch that have a state another one; returns how many these were."""
    changed = update(BatchItem).where(and_(BatchItem.batch_id == batch, BatchItem.state == before))
    return connection.execute(changed.values(state=after, why=why)).rowcount
