"""Starts of a DAG: its newest live run, how many are active, and what became of each that was due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, func, literal_column, select, tuple_

from dagbook.db.database import ReadConnection
from dagbook.db.models.definition import Dag
from dagbook.db.models.run import IS_ACTIVE, Run
from dagbook.db.models.schedule import ScheduleSlot
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.db.repositories.schedules import FAILED, MISSED, SKIPPED, START, SUSPENDED, SlotKey
from dagbook.db.statements import all_rows, first_row
from dagbook.db.types import SlotResult
from dagbook.engine.admission import EVERYTHING_PAUSED
from dagbook.engine.status import RunStatus
from dagbook.spec.time.schedule import Kind

# Triggers of the runs of batches.
BACKFILL: Final = "backfill"
RECALL: Final = "recall"
_AT_A_TIME = 500  # values per key
_MADE_UP: list[ColumnElement[str]] = [literal_column(f"'{trigger}'") for trigger in (BACKFILL, RECALL)]
# Runs that nothing was due for when they were created: caught up, or of a batch. A live start goes before them.
_IS_LIVE = and_(ScheduleSlot.made_up.is_not(True), Run.trigger.not_in(_MADE_UP))
_with_slot = Run.__table__.outerjoin(ScheduleSlot.__table__, ScheduleSlot.run_id == Run.id)
_get_newest_live = (
    select(*runs.summary, ScheduleSlot.dag_id, ScheduleSlot.kind, ScheduleSlot.minute)
    .select_from(_with_slot)
    .where(Run.dag_name == bindparam("name"), Run.root_id.is_(None), _IS_LIVE)
    .order_by(Run.created_at.desc(), Run.run_id.desc())
    .limit(1)
)
_key = (ScheduleSlot.dag_id, ScheduleSlot.kind, ScheduleSlot.minute)
_find_runs = select(*_key, ScheduleSlot.run_id).where(
    tuple_(*_key).in_(bindparam("keys", expanding=True)), ScheduleSlot.run_id.is_not(None)
)
_count_live = (
    select(Run.status, func.count())
    .select_from(_with_slot)
    .where(Run.dag_name == bindparam("name"), IS_ACTIVE, _IS_LIVE)
    .group_by(Run.status)
)


class NewestRun(RunRow, frozen=True, kw_only=True):
    """A run, and the slot that it was started for, if it was for one."""

    dag_id: int | None
    kind: Kind | None
    minute: datetime | None


class StartRow(msgspec.Struct, frozen=True, kw_only=True):
    """The start of a DAG at a minute: its outcome, and its run while that is there."""

    minute: datetime
    outcome: SlotResult
    run: int | None
    run_name: str | None
    status: RunStatus | None
    dag_revision: int | None

    @property
    def has_no_run(self) -> bool:
        """Whether it never had a run."""
        return self.outcome in (SKIPPED, SUSPENDED, MISSED, FAILED)


def get_newest_live(connection: ReadConnection, dag_name: str) -> NewestRun | None:
    """Return the newest root run of a name that was not made up, with the slot that it was started for."""
    return first_row(connection, NewestRun, _get_newest_live, name=dag_name)


def is_full(connection: ReadConnection, dag_name: str, most: int) -> bool:
    """Whether the live runs of a DAG are as many as it allows; with more than one of them, queued ones count."""
    counts = {row[0]: row[1] for row in connection.execute(_count_live, {"name": dag_name})}
    queued = counts.pop(RunStatus.QUEUED, 0)
    return sum(counts.values()) + (queued if most > 1 else 0) >= max(most, 1)


def find_starts(connection: ReadConnection, dag: int, first: datetime, last: datetime) -> dict[datetime, StartRow]:
    """Return the recorded starts of a DAG in a range of minutes, both inclusive."""
    columns = (ScheduleSlot.minute, ScheduleSlot.outcome, Run.id.label("run"), Run.run_id.label("run_name"))
    found = (
        select(*columns, Run.status, Run.dag_revision)
        .outerjoin(Run, Run.id == ScheduleSlot.run_id)
        .where(ScheduleSlot.dag_id == dag, ScheduleSlot.kind == START)
        .where(ScheduleSlot.minute >= first, ScheduleSlot.minute <= last)
    )
    return {row.minute: row for row in all_rows(connection, StartRow, found)}


def find_runs(connection: ReadConnection, keys: Sequence[SlotKey]) -> dict[SlotKey, int | None]:
    """Return the runs of those slots that have one."""
    found: dict[SlotKey, int | None] = {}
    for first in range(0, len(keys), _AT_A_TIME):
        values = [(key.dag, key.kind, key.minute) for key in keys[first : first + _AT_A_TIME]]
        for dag, kind, minute, run in connection.execute(_find_runs, {"keys": values}):
            found[SlotKey(dag, kind, minute)] = run
    return found


def count_skipped(connection: ReadConnection, since: datetime) -> dict[str, int]:
    """Count, by file name, the starts that a pause since a time has skipped, and that nothing makes up for."""
    statement = (
        select(Dag.file_name, func.count())
        .select_from(ScheduleSlot)
        .join(Dag, Dag.id == ScheduleSlot.dag_id)
        .where(
            ScheduleSlot.minute >= since.replace(second=0, microsecond=0),
            ScheduleSlot.kind == START,
            ScheduleSlot.outcome == SUSPENDED,
            ~ScheduleSlot.made_up,
            ScheduleSlot.reason.startswith(EVERYTHING_PAUSED),
        )
        .group_by(Dag.file_name)
        .order_by(Dag.file_name)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}
