"""Counts of active and queued runs for the admission of new ones."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories import queue
from dagbook.db.repositories.runs import run_writes
from dagbook.db.repositories.runs.run_writes import Activity, NewAttempt, NewRun

StartingRun = NewRun | NewAttempt


class ActiveRunCounts:
    """Active and queued runs per DAG and queue, including those admitted earlier in the same commit."""

    def __init__(self, connection: ReadConnection, new: Iterable[StartingRun]) -> None:
        runs = list(new)
        names = {run.dag_name for run in runs if _is_limited(run)}
        self._by_dag = run_writes.count_active(connection, names) if names else {}
        limited_queues = {run.queue for run in runs if run.queue_limit}
        self._by_queue = queue.count_active(connection, limited_queues) if limited_queues else {}
        self._blocked_queues = queue.find_blocked(connection, limited_queues)

    def for_run(self, run: StartingRun) -> Activity:
        """Return the counts that decide on the admission of a run."""
        activity = self._by_dag.get((run.dag_name, run.queue), Activity())
        return msgspec.structs.replace(
            activity,
            queue_active=self._by_queue.get(run.queue, 0),
            queue_blocked=run.queue in self._blocked_queues and run.queue_limit > 0,
        )

    def add(self, run: StartingRun) -> None:
        """Count an admitted run, for the admission of the next ones."""
        activity, queued = self.for_run(run), run.entry is not None
        self._by_dag[run.dag_name, run.queue] = Activity(
            dag_active=activity.dag_active + (not queued), dag_queued=activity.dag_queued + queued
        )
        self._by_queue[run.queue] = activity.queue_active + (not queued)
        if queued:
            self._blocked_queues.add(run.queue)


def _is_limited(run: StartingRun) -> bool:
    if isinstance(run, NewAttempt):
        return run.counted
    return run.entry is None or run.limited or run.singleton
