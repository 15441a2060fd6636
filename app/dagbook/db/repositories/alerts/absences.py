"""What is missing or lasts too long: DAGs without a success, long runs, waiting queues, dead processes, channels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection
from dagbook.db.models.alert import Alert, AlertChannel, AlertRule
from dagbook.db.models.definition import Dag, is_suspended
from dagbook.db.models.queue import QueueEntry, QueuePause
from dagbook.db.models.run import IS_ACTIVE, Run
from dagbook.db.models.service import Hold, Service
from dagbook.db.repositories import queue
from dagbook.db.repositories.services import SERVER, WORKER
from dagbook.db.statements import all_rows, columns, first_row, is_current
from dagbook.db.types import UtcDateTime
from dagbook.engine.status import RunStatus

_MOST_DURATIONS = 20
# A run that was made longer before does not count, so that few runs are looked at: only a retry can begin that late.
_LONGEST_BEFORE = timedelta(days=31)


class WatchedDag(msgspec.Struct, frozen=True, kw_only=True):
    """A stored DAG, and when its newest run of those that have succeeded began and ended."""

    id: int
    dag_name: str
    tags: Sequence[str]
    suspended: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """When the last run of a DAG that has succeeded began, and when the last one ended."""

    started_at: datetime | None = None
    finished_at: datetime | None = None


class WatchedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A root run that lasts."""

    id: int
    dag_name: str
    run_id: str
    attempt: int
    tags: Sequence[str]
    started_at: datetime


class FirstRun(msgspec.Struct, frozen=True, kw_only=True):
    """The first run of a queue and why it waits: the pause of the queue, or what is stored after a second."""

    queue: str
    id: int
    dag_name: str
    run_id: str
    attempt: int
    tags: Sequence[str]
    queued_at: datetime
    reason: str | None
    paused_at: datetime | None
    paused_by: str | None


class DeadProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A server or worker that has not stopped in order, and whose lease has ended."""

    id: str
    kind: str
    host: str
    heartbeat_at: datetime
    lease_until: datetime


class FailingChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel whose receiver does not accept messages."""

    name: str
    failing_since: datetime


_has_rule = exists().where(AlertRule.enabled)
_has_open = exists().where(Alert.closed_at.is_(None), Alert.kind.in_(("overdue", "server")))
_is_watching = select(and_(~exists(Hold.id), or_(_has_rule, _has_open)))
_success = aliased(Run)
_newest_success = (
    select(_success.id)
    .where(_success.dag_name == Dag.dag_name, _success.root_id.is_(None), _success.status == RunStatus.SUCCEEDED)
    .order_by(_success.created_at.desc())
    .limit(1)
    .scalar_subquery()
)
_find_dags = (
    select(*columns(Dag, WatchedDag, is_suspended()), Run.started_at, Run.finished_at)
    .outerjoin(Run, Run.id == _newest_success)
    .order_by(Dag.id)
)
_of_dag = (Run.dag_name == bindparam("dag"), Run.root_id.is_(None), Run.status == RunStatus.SUCCEEDED)
_find_success = select(
    func.max(Run.started_at).label("started_at"), func.max(Run.finished_at).label("finished_at")
).where(*_of_dag, Run.created_at >= bindparam("since", type_=UtcDateTime))
_find_durations = (
    select(Run.started_at, Run.finished_at).where(*_of_dag).order_by(Run.created_at.desc()).limit(_MOST_DURATIONS)
)
_find_running = (
    select(*columns(Run, WatchedRun))
    .where(Run.status == RunStatus.RUNNING, IS_ACTIVE, Run.started_at <= bindparam("before", type_=UtcDateTime))
    .order_by(Run.id)
)
_find_first = (
    select(
        *(Run.id, Run.dag_name, Run.run_id, Run.attempt, Run.tags),
        *(QueueEntry.queue, QueueEntry.queued_at, QueueEntry.reason, QueuePause.paused_at, QueuePause.paused_by),
    )
    .join(QueueEntry, QueueEntry.run_id == Run.id)
    .outerjoin(QueuePause, and_(QueuePause.queue == QueueEntry.queue, is_current(QueuePause.until)))
    .where(QueueEntry.queue == bindparam("queue"), Run.status == RunStatus.QUEUED)
    .order_by(QueueEntry.priority.desc(), QueueEntry.place, QueueEntry.id)
    .limit(1)
)
_follower = aliased(Service)
# One that began before the other one's last heartbeat has not taken its place.
_is_followed = exists().where(
    _follower.kind == Service.kind,
    _follower.host == Service.host,
    _follower.stopped_at.is_(None),
    _follower.lease_until > bindparam("now", type_=UtcDateTime),
    _follower.started_at > Service.heartbeat_at,
)
_find_dead = (
    select(*columns(Service, DeadProcess))
    .where(
        Service.kind.in_((SERVER, WORKER)),
        Service.stopped_at.is_(None),
        Service.lease_until > bindparam("since", type_=UtcDateTime),
        Service.lease_until <= bindparam("before", type_=UtcDateTime),
        ~_is_followed,
    )
    .order_by(Service.id)
)
_find_failing = (
    select(*columns(AlertChannel, FailingChannel))
    .where(AlertChannel.enabled, AlertChannel.failing_since <= bindparam("before", type_=UtcDateTime))
    .order_by(AlertChannel.name)
)


def is_watching(connection: ReadConnection) -> bool:
    """Whether there is something to look for: the database is not held, and there are rules or what they have left."""
    return bool(connection.scalar(_is_watching))


def find_dags(connection: ReadConnection) -> list[WatchedDag]:
    """Return all stored DAGs."""
    return all_rows(connection, WatchedDag, _find_dags)


def find_success(connection: ReadConnection, dag: str, since: datetime) -> Success:
    """Return the last success of a DAG of those that matter since a time."""
    found = first_row(connection, Success, _find_success, dag=dag, since=since - _LONGEST_BEFORE)
    return found or Success()


def find_durations(connection: ReadConnection, dag: str) -> list[float]:
    """Return the seconds that the last 20 runs of a DAG took that have succeeded."""
    return [
        (row.finished_at - row.started_at).total_seconds()
        for row in connection.execute(_find_durations, {"dag": dag})
        if row.started_at is not None and row.finished_at is not None
    ]


def find_running(connection: ReadConnection, before: datetime) -> list[WatchedRun]:
    """Return the root runs that have been running since before a time."""
    return all_rows(connection, WatchedRun, _find_running, before=before)


def find_first(connection: ReadConnection, before: datetime) -> list[FirstRun]:
    """Return the first run of each queue, if it has waited since before a time."""
    names: Collection[str] = queue.find_queues(connection)
    found = (first_row(connection, FirstRun, _find_first, queue=name) for name in names)
    return [first for first in found if first is not None and first.queued_at <= before]


def find_dead(connection: ReadConnection, since: datetime, before: datetime, now: datetime) -> list[DeadProcess]:
    """Return processes whose lease has ended in a time span, unless another one has taken the place of one."""
    return all_rows(connection, DeadProcess, _find_dead, since=since, before=before, now=now)


def find_failing(connection: ReadConnection, before: datetime) -> list[FailingChannel]:
    """Return the channels that have been failing since before a time."""
    return all_rows(connection, FailingChannel, _find_failing, before=before)
