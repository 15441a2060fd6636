"""What waits in queues, and what is under way in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from app.db.database import ReadConnection, WriteConnection
from app.db.models.queue import QueueEntry
from app.db.models.run import IS_ACTIVE, Run, RunAttempt, RunEvent
from app.db.repositories import changes
from app.db.repositories.reading import Row, all_rows, first_row
from app.db.repositories.runs import SUMMARY

_QUEUED = 5
_LIVE = (0, 1)
_ORDER = (QueueEntry.priority, QueueEntry.id)

_find_queues = select(QueueEntry.queue).distinct().order_by(QueueEntry.queue)
_find_next = (
    select(QueueEntry.id, QueueEntry.run_id, QueueEntry.queue, QueueEntry.reason, Run.max_active_runs)
    .join(Run, Run.id == QueueEntry.run_id)
    .where(QueueEntry.queue == bindparam("queue"), Run.status == _QUEUED)
    .order_by(*_ORDER)
    .limit(bindparam("most"))
)
_count_live = (
    select(Run.queue, func.count())
    .where(Run.queue.in_(bindparam("queues", expanding=True)), Run.status.in_(_LIVE), IS_ACTIVE)
    .group_by(Run.queue)
)
_find_waiting = (
    select(*SUMMARY, Run.max_active_runs)
    .join(QueueEntry, QueueEntry.run_id == Run.id)
    .where(Run.status == _QUEUED, IS_ACTIVE)
    .order_by(QueueEntry.queue, *_ORDER)
)
_find_live = (
    select(*SUMMARY, Run.max_active_runs).where(Run.status.in_(_LIVE), IS_ACTIVE).order_by(Run.created_at, Run.run_id)
)
_take = delete(QueueEntry).where(QueueEntry.run_id.in_(bindparam("runs", expanding=True))).returning(QueueEntry.run_id)


def find_queues(connection: ReadConnection) -> list[str]:
    """Name the queues in which somebody waits."""
    return [row.queue for row in connection.execute(_find_queues)]


def find_next(connection: ReadConnection, queue: str, most: int) -> Sequence[Row]:
    """Return the entries of a queue that are served next, in order."""
    return all_rows(connection, _find_next, queue=queue, most=most)


def count_live(connection: ReadConnection, queues: Iterable[str]) -> dict[str, int]:
    """Count, by queue, the root runs that are under way."""
    return {row[0]: row[1] for row in connection.execute(_count_live, {"queues": list(queues)})}


def find_waiting(connection: ReadConnection) -> Sequence[Row]:
    """Return summaries of all runs that wait, by queue, in the order in which they are served."""
    return all_rows(connection, _find_waiting)


def find_live(connection: ReadConnection) -> Sequence[Row]:
    """Return summaries of all root runs that are under way, oldest first, with their queues."""
    return all_rows(connection, _find_live)


def take(connection: WriteConnection, runs: Iterable[int]) -> set[int]:
    """Remove the entries of runs, and tell which there were: whoever removes one decides about its run."""
    return {row.run_id for row in connection.execute(_take, {"runs": sorted(runs)})}


def note_reason(connection: WriteConnection, entry: int, reason: str) -> None:
    """Note why an entry waits."""
    noted = update(QueueEntry).where(QueueEntry.id == entry).values(reason=reason).returning(QueueEntry.queue)
    changes.tell_queues(connection, list(connection.execute(noted).scalars()))


def add_event(connection: WriteConnection, event: dict[str, Any]) -> None:
    """Append an event to the history of a run whose entry was taken."""
    connection.execute(insert(RunEvent), [event])


def remove_run(connection: WriteConnection, run: int) -> None:
    """Remove a run that never began, with all that belongs to it."""
    changes.tell_removed(connection, [run])
    connection.execute(delete(Run).where(Run.id == run))


def take_back(connection: WriteConnection, run: int, attempt: int) -> None:
    """Remove the last attempt of a run, one that never began; the one before it is the current one again."""
    before = first_row(
        connection,
        select(RunAttempt.status, RunAttempt.opened_at, RunAttempt.closed_at).where(
            RunAttempt.run_id == run, RunAttempt.number == attempt - 1
        ),
    )
    assert before is not None  # noqa: S101 - attempts are numbered without gaps
    # When it was opened and closed is the closest that is kept of when the attempt began and ended.
    values: dict[str, Any] = {
        "attempt": attempt - 1,
        "status": before["status"],
        "started_at": before["opened_at"],
        "finished_at": before["closed_at"],
    }
    connection.execute(update(Run).where(Run.id == run).values(**values))
    connection.execute(delete(RunAttempt).where(RunAttempt.run_id == run, RunAttempt.number == attempt))
