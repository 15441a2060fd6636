"""Head of a queue: the entries that may start now, and the active runs that limits count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories import queue, services
from dagbook.db.repositories.queue import ActiveCount, ActiveRunName, ActiveRunRow, EntryRow, PauseRow, QueuedRunRow
from dagbook.db.repositories.runs import run_writes
from dagbook.db.repositories.runs.run_writes import Activity, NewAttempt, StartingRun
from dagbook.engine.admission import (
    ActiveRun,
    Admission,
    AdmissionResult,
    Labels,
    Pause,
    QueueConfig,
    QueuedRun,
    QueueSnapshot,
    admit,
    wait_reason,
)

WaitingRow = EntryRow | QueuedRunRow
HolderRow = ActiveRunName | ActiveRunRow
MAX_RELEASED = 64  # runs of one queue that are started at once
_NONE_ADMITTED = AdmissionResult((), {})


class QueueHead(msgspec.Struct, frozen=True):
    """First entries of a queue, and which of them may start.

    ``for_workers`` are the released ones for workers, with the required labels.
    """

    rows: Sequence[EntryRow] = ()
    admission: AdmissionResult = _NONE_ADMITTED
    for_workers: Mapping[int, Labels] = {}


def read_queue_head(connection: ReadConnection, name: str, queues: QueueConfig, most: int) -> QueueHead:
    """Return the runs that may start now; reads no more entries than there are free slots, and at most ``most``."""
    head = queue.find_next(connection, name, 1)
    if not head:  # the usual case when a run has finished
        return QueueHead()
    entry = entry_of(head[0])
    first, total_pause = head[0], None
    if first.total_paused_at is not None:
        reason, until = first.total_reason, first.total_until
        total_pause = Pause(first.total_paused_at, first.total_paused_by, reason, until, everything=True)
    count = queue.count_active(connection, [name]).get(name, ActiveCount(queue=name))
    snapshot = QueueSnapshot(
        active=count.active,
        own=count.own,
        pause=pause_of(first),
        total_pause=total_pause,
        workers=workers_for(connection, head),
    )
    limit, active = queues.limit(entry), count.own if queues.counts_own(name, entry.dag_name) else count.active
    free = most if limit is None else min(limit - active, most)
    if free > 1 and wait_reason(entry, snapshot, queues) is None:
        head = queue.find_next(connection, name, free)
        snapshot = msgspec.structs.replace(snapshot, workers=workers_for(connection, head))
    admission = admit([entry_of(row) for row in head], {name: snapshot}, queues)
    selectors = {} if queues.ignore_selectors else {row.run_id: row.selector for row in head if row.selector}
    return QueueHead(head, admission, {run: selectors[run] for run in admission.released if run in selectors})


def workers_for(connection: ReadConnection, rows: Iterable[WaitingRow]) -> Sequence[Labels] | None:
    """Return the labels of the live workers; None if no entry has a worker selector."""
    return services.find_worker_labels(connection) if any(row.selector for row in rows) else None


def entry_of(row: EntryRow) -> QueuedRun:
    """Convert the row of a queue entry for the engine."""
    selector, is_sub_run = row.selector or {}, row.root_id is not None
    return QueuedRun(row.run_id, row.queue, row.max_active_runs, selector, row.dag_name, is_sub_run)


def pause_of(row: EntryRow | PauseRow | None) -> Pause | None:
    """Return the pause of the queue of a row; None if it is not paused."""
    if row is None or row.paused_at is None:
        return None
    return Pause(row.paused_at, row.paused_by, row.pause_reason, row.until)


def read_total_pause(connection: ReadConnection) -> Pause | None:
    """Return the pause of everything; None while there is none."""
    row = queue.get_total_pause(connection)
    return None if row is None else Pause(row.paused_at, row.paused_by, row.reason, row.until, everything=True)


def holder_of(run: HolderRow) -> ActiveRun:
    """Convert the row of an active run for the engine."""
    return ActiveRun(run.dag_name, run.run_id, run.started_at)


class ActiveRunCounts:
    """Active and queued runs per DAG and queue, including those admitted earlier in the same commit."""

    def __init__(
        self, connection: ReadConnection, new: Iterable[StartingRun], queues: QueueConfig, pause: Pause | None
    ) -> None:
        runs, self._queues, self._pause = list(new), queues, pause
        names = {run.dag_name for run in runs if _is_limited(run)}
        self._by_dag = run_writes.count_active(connection, names) if names else {}
        limited_queues = {run.queue for run in runs if run.queue_limit}
        self._by_queue = queue.count_active(connection, limited_queues) if limited_queues else {}
        self._blocked_queues = queue.find_blocked(connection, limited_queues)

    def for_run(self, run: StartingRun) -> Activity:
        """Return the counts that decide on the admission of a run."""
        activity = self._by_dag.get((run.dag_name, run.queue), Activity())
        count = self._by_queue.get(run.queue, ActiveCount(queue=run.queue))
        pause = self._pause if run.is_root else None
        passes = pause is not None and run.despite_pause  # the entries of its queue wait for the end of the pause
        return msgspec.structs.replace(
            activity,
            queue_active=count.own if self._queues.counts_own(run.queue, run.dag_name) else count.active,
            queue_blocked=run.queue in self._blocked_queues and run.queue_limit > 0 and not passes,
            pause=pause,
        )

    def add(self, run: StartingRun) -> None:
        """Count an admitted run, for the admission of the next ones."""
        activity, queued = self.for_run(run), run.entry is not None
        self._by_dag[run.dag_name, run.queue] = Activity(
            dag_active=activity.dag_active + (not queued), dag_queued=activity.dag_queued + queued
        )
        count = self._by_queue.get(run.queue, ActiveCount(queue=run.queue))
        own = count.own + (not queued and run.dag_name == run.queue)
        self._by_queue[run.queue] = msgspec.structs.replace(count, active=count.active + (not queued), own=own)
        if queued:
            self._blocked_queues.add(run.queue)


def _is_limited(run: StartingRun) -> bool:
    if isinstance(run, NewAttempt):
        return run.admission is not Admission.UNLIMITED
    return run.entry is None or run.is_limited_when_queued or run.admission.is_singleton
