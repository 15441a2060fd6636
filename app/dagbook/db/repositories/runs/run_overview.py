"""What happened to the runs of a time range, over all DAGs: statuses by time, failures by reason, waits in queues."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import (
    JSON,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    cast,
    func,
    literal_column,
    not_,
    select,
    type_coerce,
)
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection
from dagbook.db.models.queue import QueueEntry
from dagbook.db.models.run import IS_ACTIVE, Run, RunAttempt
from dagbook.db.repositories import approvals
from dagbook.db.repositories.runs.replacements import IS_AMONG_REPLACED, IS_REPLACED
from dagbook.db.repositories.runs.run_history import QUARTER_SECONDS, CountedRuns
from dagbook.db.repositories.runs.runs import RunRow, summary
from dagbook.db.statements import all_rows, is_one_of, milliseconds
from dagbook.engine.status import BAD_ENDS, RunStatus

MAX_COUNTED, MAX_FAILURES, MAX_WAITS, MAX_ACTIVE = 200_000, 5_000, 5_000, 100
_NUMBERS: dict[RunStatus, ColumnElement[RunStatus]] = {one: literal_column(str(int(one))) for one in RunStatus}
_ACTIVE = (RunStatus.NOT_STARTED, RunStatus.RUNNING, RunStatus.QUEUED)
_GOOD = [_NUMBERS[RunStatus.SUCCEEDED], _NUMBERS[RunStatus.PARTIALLY_SUCCEEDED]]
_BAD = [_NUMBERS[each] for each in sorted(BAD_ENDS)]
_state = type_coerce(RunAttempt.state, Text)
_failing_position = {  # of the node whose error is that of the run
    "sqlite": cast(func.json_extract(_state, literal_column("'$.error_key'")), Integer),
    "postgresql": cast(func.json_extract_path_text(cast(_state, JSON), literal_column("'error_key'")), Integer),
}
_failed = aliased(Run)


class RunWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The root runs that were created from ``since`` until before ``before``, of these DAG names; None are all."""

    since: datetime
    before: datetime
    names: Sequence[str] | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        return [Run.root_id.is_(None), Run.created_at >= self.since, Run.created_at < self.before, *_named(self.names)]

    @property
    def values(self) -> Mapping[str, object]:
        return _values(self.names)


class FailureRow(msgspec.Struct, frozen=True, kw_only=True):
    """Failed runs of a DAG with one error of one node: how many, the first creation, and the key of the newest."""

    dag_name: str
    position: int | None
    error: str | None
    runs: int
    first_at: datetime
    newest: int


class LaterRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of the DAG of a run, and its newest one that succeeded, also partially; keys."""

    run: int
    latest: int
    good: int | None


class QueueWait(NamedTuple):
    """How long a run was queued, in milliseconds."""

    queue: str
    waited: int


class QueuedRuns(NamedTuple):
    """How many runs are queued in a queue, and since when the first of them."""

    queue: str
    runs: int
    oldest: datetime


def find_count_start(connection: ReadConnection, window: RunWindow) -> datetime | None:
    """Return the creation of the oldest run that ``count_by_quarter`` has to read; None if it may read all."""
    newest = select(Run.created_at).where(*window.conditions).order_by(Run.created_at.desc())
    return connection.execute(newest.offset(MAX_COUNTED).limit(1), window.values).scalar()


def count_by_quarter(connection: ReadConnection, window: RunWindow) -> list[CountedRuns]:
    """Count runs by status and quarters of an hour; those that were replaced are taken off again."""
    # All statuses, so that the index by status is used; with names it is the one by name.
    counted = _count(connection, window, *([] if window.names is not None else [Run.status.in_(_NUMBERS.values())]))
    replaced = _count(connection, window, Run.status.in_(_BAD), IS_AMONG_REPLACED)
    return [*counted, *(row._replace(runs=-row.runs) for row in replaced)]


def count_waiting(connection: ReadConnection, window: RunWindow) -> list[CountedRuns]:
    """Count the running runs that wait for an approval, by quarters of an hour."""
    return _count(connection, window, Run.status == _NUMBERS[RunStatus.RUNNING], approvals.IS_WAITING)


def _count(connection: ReadConnection, window: RunWindow, *conditions: ColumnElement[bool]) -> list[CountedRuns]:
    created = milliseconds(connection.dialect.name, Run.created_at)
    quarter = created.op("/")(literal_column(str(QUARTER_SECONDS * 1000))).label("quarter")
    counted = select(quarter, Run.status, func.count()).where(*window.conditions, *conditions)
    found = connection.execute(counted.group_by(quarter, Run.status), window.values)
    return [CountedRuns(*row) for row in found]


def find_failures(connection: ReadConnection, window: RunWindow) -> list[FailureRow]:
    """Return the newest failed runs that no batch has replaced, equal ones as one row; at most ``MAX_FAILURES``."""
    failed = (
        select(Run.id, Run.dag_name, Run.attempt, Run.error, Run.created_at)
        .where(*window.conditions, Run.status == _NUMBERS[RunStatus.FAILED], not_(IS_REPLACED))
        .order_by(Run.created_at.desc())
        .limit(MAX_FAILURES)
        .subquery()
    )
    reason = (failed.c.dag_name, _failing_position[connection.dialect.name].label("position"), failed.c.error)
    grouped = (
        select(
            *reason,
            func.count().label("runs"),
            func.min(failed.c.created_at).label("first_at"),
            func.max(failed.c.id).label("newest"),
        )
        .outerjoin(RunAttempt, and_(RunAttempt.run_id == failed.c.id, RunAttempt.number == failed.c.attempt))
        .group_by(*reason)
    )
    return all_rows(connection, FailureRow, grouped, **window.values)


def _newest_of_failed(*conditions: ColumnElement[bool]) -> Select[int]:
    newest = select(Run.id).where(Run.dag_name == _failed.dag_name, Run.root_id.is_(None), *conditions)
    return newest.order_by(Run.created_at.desc()).limit(1).correlate(_failed)


_find_later = select(
    _failed.id.label("run"),
    _newest_of_failed().scalar_subquery().label("latest"),
    _newest_of_failed(Run.status.in_(_GOOD)).scalar_subquery().label("good"),
).where(is_one_of(_failed.id, "runs"))


def find_later(connection: ReadConnection, runs: Collection[int]) -> dict[int, LaterRuns]:
    """Return, by the keys of runs, the newest and the newest good run of their DAGs."""
    return {row.run: row for row in all_rows(connection, LaterRuns, _find_later, runs=list(runs))}


def find_active(connection: ReadConnection, before: datetime, names: Sequence[str] | None) -> list[RunRow]:
    """Return the oldest active and queued runs that were created before a time."""
    statement = select(*summary).where(Run.status.in_(_ACTIVE), IS_ACTIVE, Run.created_at < before, *_named(names))
    return all_rows(
        connection, RunRow, statement.order_by(Run.created_at, Run.run_id).limit(MAX_ACTIVE), **_values(names)
    )


def find_waits(connection: ReadConnection, window: RunWindow) -> list[QueueWait]:
    """Return how long those of the newest ``MAX_WAITS`` runs were queued that were; without retried ones."""
    dialect = connection.dialect.name
    newest = (
        select(
            Run.queue,
            Run.attempt,
            (milliseconds(dialect, Run.started_at) - milliseconds(dialect, Run.queued_at)).label("waited"),
        )
        .where(*window.conditions)
        .order_by(Run.created_at.desc())
        .limit(MAX_WAITS)
        .subquery()
    )
    statement = select(newest.c.queue, newest.c.waited).where(newest.c.attempt == 1, newest.c.waited.is_not(None))
    return [QueueWait(*row) for row in connection.execute(statement, window.values)]


def find_queued(connection: ReadConnection, names: Sequence[str] | None) -> list[QueuedRuns]:
    """Return the queues with queued runs, those first in which one waits longest."""
    oldest = func.min(QueueEntry.queued_at)
    statement = select(QueueEntry.queue, func.count(), oldest).group_by(QueueEntry.queue).order_by(oldest)
    if names is not None:
        statement = statement.join(Run, Run.id == QueueEntry.run_id).where(*_named(names))
    return [QueuedRuns(*row) for row in connection.execute(statement, _values(names))]


def _named(names: Sequence[str] | None) -> list[ColumnElement[bool]]:
    return [] if names is None else [is_one_of(Run.dag_name, "names")]


def _values(names: Sequence[str] | None) -> Mapping[str, object]:
    return {} if names is None else {"names": list(names)}
