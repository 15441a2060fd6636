"""Use case: take a run out of its queue (api-behaviour op 35, runtime 22.6)."""

from __future__ import annotations

from datetime import datetime

from app.auth.origin import Action, Origin, run_deed
from app.clock import Clock
from app.db.database import Database, WriteConnection
from app.db.repositories import audit, changes, queue, runs, transitions
from app.db.repositories.reading import Row
from app.engine.admission import Queues
from app.engine.status import RunStatus
from app.errors import BadRequestError
from app.names import shorten
from app.runs import rows
from app.runs.signal import QueueSignal


class Waiting:
    """What people may ask of runs that wait."""

    def __init__(self, database: Database, signal: QueueSignal, queues: Queues, now: Clock) -> None:
        self._database = database
        self._signal = signal
        self._queues = queues
        self._now = now

    async def dequeue(self, run: Row, origin: Origin) -> None:
        """Take a run out of its queue: one that never ran vanishes, one that was retried is as before that.

        Raises BadRequestError when the run does not wait.
        """
        if not self._queues.enabled:
            raise BadRequestError("queues are switched off here; set queues_enabled to serve them")
        named = f"run {shorten(run['run_id'])} of DAG {shorten(run['dag_name'])}"
        status = RunStatus(run["status"])
        if status is not RunStatus.QUEUED:
            raise BadRequestError(f"{named} is not queued, it is {status.label}")
        now = self._now()
        if not await self._database.write(lambda connection: _dequeue(connection, run, origin, now)):
            raise BadRequestError(f"{named} is not queued any more, it has begun just now")
        self._signal.tell(run["queue"])


def _dequeue(connection: WriteConnection, run: Row, origin: Origin, at: datetime) -> bool:
    if not transitions.lock_waiting(connection, {run["id"]}) or not queue.take(connection, {run["id"]}):
        return False
    was = {"queue": run["queue"], "attempt": run["attempt"]}
    audit.add(connection, origin.entry(run_deed(Action.RUN_DEQUEUE, run, was), at))
    changes.tell_queues(connection, [run["queue"]])
    if run["attempt"] == 1:
        queue.remove_run(connection, run["id"])
        return True
    queue.take_back(connection, run["id"], run["attempt"])
    last = runs.last_seq(connection, run["id"])
    told = rows.dequeued_event(run["id"], at, seq=last + 1, attempt=run["attempt"], actor=origin.label)
    queue.add_event(connection, told)
    changes.tell_runs(connection, [run["id"]])
    return True
