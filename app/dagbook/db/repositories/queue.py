"""Queue entries, active runs of queues, paused queues, and the pause of everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Integer, and_, bindparam, case, delete, exists, func, literal, or_, select, tuple_, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.queue import QueueEntry, QueuePause, TotalPause
from dagbook.db.models.run import IS_ACTIVE, Run, RunAttempt
from dagbook.db.prepared import Prepared
from dagbook.db.repositories import changes
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.runs.runs import RunRow, get_attempt, summary
from dagbook.db.statements import all_rows, columns, first_row, insert_into, is_current, is_one_of
from dagbook.db.types import UtcDateTime
from dagbook.engine.status import RunStatus

_ACTIVE = (RunStatus.NOT_STARTED, RunStatus.RUNNING)
ALL = 2**31 - 1
_ORDER = (QueueEntry.priority.desc(), QueueEntry.place, QueueEntry.id)
_OF_QUEUE = QueueEntry.queue == bindparam("queue")
_PAUSE = (QueuePause.paused_at, QueuePause.paused_by, QueuePause.reason.label("pause_reason"), QueuePause.until)
_TOTAL_PAUSE = (TotalPause.paused_at, TotalPause.paused_by, TotalPause.reason, TotalPause.until)
_ONLY = 1  # the id of the pause of everything
_ITEM = (QueueEntry.id.label("item"), QueueEntry.priority, QueueEntry.selector, Run.max_active_runs)


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A queue entry with the limit of its DAG; the pause or the position is what its query selects."""

    id: int
    run_id: int
    queue: str
    priority: int
    selector: dict[str, str] | None
    reason: str | None
    max_active_runs: int
    dag_name: str
    root_id: int | None = None  # of a sub-run
    paused_at: datetime | None = None
    paused_by: str | None = None
    pause_reason: str | None = None
    until: datetime | None = None
    total_paused_at: datetime | None = None
    total_paused_by: str | None = None
    total_reason: str | None = None
    total_until: datetime | None = None
    position: int = 0


_entry = (*columns(QueueEntry, EntryRow), Run.max_active_runs, Run.dag_name, Run.root_id)
# Skips in the index from one name to the next, regardless of the number of entries of each.
_names = select(func.min(QueueEntry.queue).label("name")).cte("names", recursive=True)
_next_name = select(func.min(QueueEntry.queue)).where(QueueEntry.queue > _names.c.name).scalar_subquery()
_names = _names.union_all(select(_next_name).where(_names.c.name.is_not(None)))
_find_queues = select(_names.c.name).where(_names.c.name.is_not(None))
_find_used = select(QueueEntry.queue).where(is_one_of(QueueEntry.queue, "names")).distinct()
_find_queues_of = select(QueueEntry.queue).where(is_one_of(QueueEntry.run_id, "runs")).distinct()
_find_next = (
    select(*_entry, *_PAUSE, *(column.label(f"total_{column.key}") for column in _TOTAL_PAUSE))
    .join(Run, Run.id == QueueEntry.run_id)
    .outerjoin(QueuePause, and_(QueuePause.queue == QueueEntry.queue, is_current(QueuePause.until)))
    .outerjoin(TotalPause, and_(TotalPause.id == _ONLY, is_current(TotalPause.until)))
    .where(_OF_QUEUE, Run.status == RunStatus.QUEUED)
    .order_by(*_ORDER)
    .limit(bindparam("most", type_=Integer))
)
_is_own = case((Run.dag_name == Run.queue, 1), else_=0)
_count_active = (
    select(Run.queue, func.count().label("active"), func.sum(_is_own).label("own"))
    .where(is_one_of(Run.queue, "queues"), Run.status.in_(_ACTIVE), IS_ACTIVE)
    .group_by(Run.queue)
)
_is_paused = exists().where(QueuePause.queue == bindparam("queue"), is_current(QueuePause.until))
_is_blocked = select(or_(exists().where(_OF_QUEUE), _is_paused))
_find_queued = (
    select(*summary, *_ITEM)
    .join(QueueEntry, QueueEntry.run_id == Run.id)
    .where(Run.status == RunStatus.QUEUED, IS_ACTIVE)
    .order_by(QueueEntry.queue, *_ORDER)
    .limit(bindparam("most", type_=Integer))
)
_find_items = (
    select(*summary, *_ITEM)
    .join(QueueEntry, QueueEntry.run_id == Run.id)
    .where(_OF_QUEUE, Run.status == RunStatus.QUEUED)
    .order_by(*_ORDER)
    .offset(bindparam("offset"))
    .limit(bindparam("most"))
)
_count_items = select(func.count()).select_from(QueueEntry).where(_OF_QUEUE)
_ranked = (
    select(
        QueueEntry.id,
        func.row_number().over(partition_by=QueueEntry.queue, order_by=_ORDER).label("position"),
    )
    .where(is_one_of(QueueEntry.queue, "queues"))
    .subquery()
)
_find_positions = (
    select(*_entry, _ranked.c.position)
    .select_from(_ranked)
    .join(QueueEntry, QueueEntry.id == _ranked.c.id)
    .join(Run, Run.id == QueueEntry.run_id)
    .where(or_(_ranked.c.position == 1, is_one_of(QueueEntry.run_id, "runs")))
)
_find_active = (
    select(*summary, Run.max_active_runs)
    .where(Run.status.in_(_ACTIVE), IS_ACTIVE)
    .order_by(Run.created_at, Run.run_id)
    .limit(bindparam("most", type_=Integer))
)
_find_active_runs = (
    select(Run.dag_name, Run.run_id, Run.queue, Run.started_at)
    .where(is_one_of(Run.queue, "queues"), Run.status.in_(_ACTIVE), IS_ACTIVE)
    .order_by(Run.created_at, Run.run_id)
)
_find_pauses = select(QueuePause.queue, *_PAUSE).where(is_current(QueuePause.until)).order_by(QueuePause.queue)
_get_total_pause = Prepared(
    select(*_TOTAL_PAUSE).where(TotalPause.id == bindparam("id", type_=Integer), is_current(TotalPause.until))
)
_remove_entries = delete(QueueEntry).where(is_one_of(QueueEntry.run_id, "runs")).returning(QueueEntry.run_id)
_find_batch = (
    select(Run.id, Run.dag_name, Run.run_id, Run.queue, Run.attempt, Run.queued_at)
    .join(QueueEntry, QueueEntry.run_id == Run.id)
    .where(_OF_QUEUE, Run.status == RunStatus.QUEUED, QueueEntry.id <= bindparam("last"))
    .order_by(*_ORDER)
    .limit(bindparam("most"))
)


class ActiveCount(msgspec.Struct, frozen=True, kw_only=True):
    """The active runs of a queue, and how many of them are of the DAG that has its name."""

    queue: str
    active: int = 0
    own: int = 0


class ActiveRunRow(RunRow, frozen=True, kw_only=True):
    """Summary of an active run with the limit of its DAG."""

    max_active_runs: int


class QueuedRunRow(ActiveRunRow, frozen=True, kw_only=True):
    """Summary of a queued run with its queue entry."""

    item: int
    priority: int
    selector: dict[str, str] | None


class ActiveRunName(msgspec.Struct, frozen=True, kw_only=True):
    """Names of an active run, its queue and its start."""

    dag_name: str
    run_id: str
    queue: str
    started_at: datetime | None


class QueuedRunName(msgspec.Struct, frozen=True, kw_only=True):
    """Names of a queued run, its queue, attempt and time."""

    id: int
    dag_name: str
    run_id: str
    queue: str
    attempt: int
    queued_at: datetime | None


class ItemRow(msgspec.Struct, frozen=True, kw_only=True):
    """Place of an entry in its queue."""

    id: int
    run_id: int
    priority: int
    place: int


class PauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """The pause of a queue, whose end has not passed."""

    queue: str
    paused_at: datetime
    paused_by: str | None
    pause_reason: str | None
    until: datetime | None


class TotalPauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """The pause of everything, whose end has not passed."""

    paused_at: datetime
    paused_by: str | None
    reason: str
    until: datetime | None


def find_queues(connection: ReadConnection) -> list[str]:
    """Return the names of the queues that have entries."""
    return [row.name for row in connection.execute(_find_queues)]


def find_used(connection: ReadConnection, names: Iterable[str]) -> set[str]:
    """Return those of the queues that have entries."""
    return set(connection.scalars(_find_used, {"names": list(names)}))


def find_queues_of(connection: ReadConnection, runs: Iterable[int]) -> set[str]:
    """Return the names of the queues in which these runs are queued."""
    return set(connection.scalars(_find_queues_of, {"runs": list(runs)}))


def find_next(connection: ReadConnection, queue: str, most: int) -> Sequence[EntryRow]:
    """Return the next entries of a queue, in order, with the queue's pause."""
    return all_rows(connection, EntryRow, _find_next, queue=queue, most=most)


def count_active(connection: ReadConnection, queues: Iterable[str]) -> dict[str, ActiveCount]:
    """Count the active root runs by queue."""
    return {row.queue: row for row in all_rows(connection, ActiveCount, _count_active, queues=list(queues))}


def find_blocked(connection: ReadConnection, queues: Iterable[str]) -> set[str]:
    """Return those of the queues that have entries or are paused."""
    return {name for name in queues if connection.execute(_is_blocked, {"queue": name}).scalar()}


def find_queued(connection: ReadConnection, most: int = ALL) -> Sequence[QueuedRunRow]:
    """Return summaries of all queued runs, by queue, in queue order."""
    return all_rows(connection, QueuedRunRow, _find_queued, most=most)


def find_items(
    connection: ReadConnection, queue: str, offset: int, most: int, visibility: Visibility = EVERYTHING
) -> Sequence[QueuedRunRow]:
    """Return summaries of the visible queued runs of a queue in its order, from the offset on."""
    statement = _find_items.where(*dag_access.narrow(Run.dag_name, visibility))
    return all_rows(connection, QueuedRunRow, statement, queue=queue, offset=offset, most=most)


def count_items(connection: ReadConnection, queue: str, visibility: Visibility = EVERYTHING) -> int:
    """Count the entries of the visible runs of a queue."""
    statement = _count_items
    if visibility:
        statement = statement.join(Run, Run.id == QueueEntry.run_id).where(*dag_access.narrow(Run.dag_name, visibility))
    return connection.execute(statement, {"queue": queue}).scalar() or 0


def find_positions(connection: ReadConnection, queues: Iterable[str], runs: Iterable[int]) -> Sequence[EntryRow]:
    """Return the entries of these runs, and the first entry of each queue, with their positions from 1.

    Scans the index of all entries of the queues.
    """
    return all_rows(connection, EntryRow, _find_positions, queues=list(queues), runs=list(runs))


def find_active(connection: ReadConnection, most: int = ALL) -> Sequence[ActiveRunRow]:
    """Return summaries of all active root runs, oldest first, with their queues."""
    return all_rows(connection, ActiveRunRow, _find_active, most=most)


def find_active_runs(connection: ReadConnection, queues: Iterable[str]) -> Sequence[ActiveRunName]:
    """Return names and ids of the active root runs of these queues, oldest first."""
    return all_rows(connection, ActiveRunName, _find_active_runs, queues=list(queues))


def remove_entries(connection: WriteConnection, runs: Iterable[int]) -> set[int]:
    """Delete the entries of runs and return the runs that had one; only the deleting transaction may start the run."""
    return {row.run_id for row in connection.execute(_remove_entries, {"runs": sorted(runs)})}


def store_reasons(connection: WriteConnection, reasons: Mapping[int, str]) -> None:
    """Store wait reasons by entry."""
    queues: set[str] = set()
    for entry, reason in sorted(reasons.items()):
        statement = update(QueueEntry).where(QueueEntry.id == entry).values(reason=reason).returning(QueueEntry.queue)
        queues.update(connection.execute(statement).scalars())
    changes.add_queue_changes(connection, queues)


# -- removed without having started ------------------------------------------------------------------------------------


def last_entry_id(connection: ReadConnection, queue: str) -> int:
    """Return the id of the newest entry of a queue; 0 when it is empty."""
    return connection.execute(select(func.max(QueueEntry.id)).where(QueueEntry.queue == queue)).scalar() or 0


def find_batch(connection: ReadConnection, queue: str, *, last: int, most: int) -> Sequence[QueuedRunName]:
    """Return at most ``most`` queued runs of a queue, without those enqueued after entry ``last``."""
    return all_rows(connection, QueuedRunName, _find_batch, queue=queue, last=last, most=most)


def remove_runs(connection: WriteConnection, runs: Sequence[int]) -> None:
    """Delete runs that never started, with all their rows."""
    changes.add_removed_changes(connection, runs)
    connection.execute(delete(Run).where(Run.id.in_(runs)))


def revert_attempt(connection: WriteConnection, run: int, attempt: int, queued_at: datetime | None) -> None:
    """Delete the last attempt of a run, which never started, and make the previous attempt current again.

    ``queued_at`` is the current value of the run.
    """
    last, before = (get_attempt(connection, run, number) for number in (attempt, attempt - 1))
    assert last is not None and before is not None  # noqa: S101, PT018 - attempts are numbered without gaps
    # The times of opening and closing are the closest stored values to the attempt's start and finish.
    values: dict[str, object] = {
        "attempt": attempt - 1,
        "status": before.status,
        "started_at": before.opened_at,
        "finished_at": before.closed_at,
        "queued_at": None if queued_at == last.opened_at else queued_at,
    }
    connection.execute(update(Run).where(Run.id == run).values(**values))
    connection.execute(delete(RunAttempt).where(RunAttempt.run_id == run, RunAttempt.number == attempt))


# -- the order, and pauses ---------------------------------------------------------------------------------------------


def get_item(connection: ReadConnection, queue: str, item: int) -> ItemRow | None:
    """Return an entry of a queue."""
    statement = select(QueueEntry.id, QueueEntry.run_id, QueueEntry.priority, QueueEntry.place)
    return first_row(connection, ItemRow, statement.where(QueueEntry.queue == queue, QueueEntry.id == item))


def find_front(connection: ReadConnection, queue: str, priority: int) -> int | None:
    """Return the lowest ``place`` of the entries with a priority; None when there are none."""
    of_priority = (QueueEntry.queue == queue, QueueEntry.priority == priority)
    return connection.execute(select(func.min(QueueEntry.place)).where(*of_priority)).scalar()


def move(connection: WriteConnection, item: int, *, priority: int, place: int) -> None:
    """Change the priority and the place of an entry."""
    connection.execute(update(QueueEntry).where(QueueEntry.id == item).values(priority=priority, place=place))


def shift_up_to(connection: WriteConnection, queue: str, last: ItemRow, *, by: int) -> None:
    """Shift the places of an entry and of all before it with the same priority; their order is preserved."""
    of_priority = (QueueEntry.queue == queue, QueueEntry.priority == last.priority)
    up_to = tuple_(QueueEntry.place, QueueEntry.id) <= tuple_(literal(last.place), literal(last.id))
    connection.execute(update(QueueEntry).where(*of_priority, up_to).values(place=QueueEntry.place + by))


def find_pauses(connection: ReadConnection) -> dict[str, PauseRow]:
    """Return the pauses of all queues that have one, by the queue's name."""
    return {row.queue: row for row in all_rows(connection, PauseRow, _find_pauses)}


def pause(connection: WriteConnection, pause: PauseRow) -> None:
    """Pause a queue; if it is already paused, its time and actor are kept, and reason and end replaced."""
    row = msgspec.structs.asdict(pause)
    row["reason"] = row.pop("pause_reason")
    connection.execute(delete(QueuePause).where(QueuePause.queue == pause.queue, ~is_current(QueuePause.until)))
    changed = {name: row[name] for name in ("reason", "until")}
    adding = insert_into(QueuePause).values(row)
    connection.execute(adding.on_conflict_do_update(index_elements=["queue"], set_=changed))


def resume(connection: WriteConnection, queue: str) -> None:
    """End the pause of a queue, if it has one."""
    connection.execute(delete(QueuePause).where(QueuePause.queue == queue))


def get_total_pause(connection: ReadConnection) -> TotalPauseRow | None:
    """Return the pause of everything; None while there is none."""
    found = _get_total_pause.execute_many(connection, [{"id": _ONLY}])
    if not found:
        return None
    at, by, reason, until = found[0]
    read = UtcDateTime().process_result_value
    since = read(at, connection.dialect)
    assert since is not None  # noqa: S101 - never NULL
    return TotalPauseRow(paused_at=since, paused_by=by, reason=reason, until=read(until, connection.dialect))


def put_total_pause(connection: WriteConnection, row: TotalPauseRow) -> None:
    """Pause everything, in place of an earlier pause."""
    values = {"id": _ONLY, **msgspec.structs.asdict(row)}
    connection.execute(insert_into(TotalPause).values(values).on_conflict_do_update(index_elements=["id"], set_=values))


def remove_total_pause(connection: WriteConnection) -> None:
    """End the pause of everything."""
    connection.execute(delete(TotalPause))
