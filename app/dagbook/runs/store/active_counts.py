"""What is active around runs that are about to be accepted."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories import queue
from dagbook.db.repositories.runs import run_writes
from dagbook.db.repositories.runs.run_writes import Activity, NewAttempt, NewRun

StartingRun = NewRun | NewAttempt


class ActiveRunCounts:
    """Counts runs by DAG and queue, those that were admitted in the same commit included."""

    def __init__(self, connection: ReadConnection, newcomers: Iterable[StartingRun]) -> None:
        arrived = list(newcomers)
        names = {one.dag_name for one in arrived if _is_limited(one)}
        self._active = run_writes.count_active(connection, names) if names else {}
        crowded = {one.queue for one in arrived if one.queue_limit}
        self._live = queue.count_active(connection, crowded) if crowded else {}
        self._held = queue.find_blocked(connection, crowded)

    def for_run(self, one: StartingRun) -> Activity:
        """Tell what is active around one that wants to come in."""
        activity = self._active.get((one.dag_name, one.queue), Activity())
        return msgspec.structs.replace(
            activity,
            queue_active=self._live.get(one.queue, 0),
            queue_blocked=one.queue in self._held and one.queue_limit > 0,
        )

    def add(self, one: StartingRun) -> None:
        """Count one that has come in; those after it have it around them."""
        activity, waits = self.for_run(one), one.entry is not None
        self._active[one.dag_name, one.queue] = Activity(
            dag_active=activity.dag_active + (not waits), dag_queued=activity.dag_queued + waits
        )
        self._live[one.queue] = activity.queue_active + (not waits)
        if waits:
            self._held.add(one.queue)


def _is_limited(one: StartingRun) -> bool:
    if isinstance(one, NewAttempt):
        return one.counted
    return one.entry is None or one.limited or one.singleton
