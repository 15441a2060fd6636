"""Use cases: dequeue a run, or all runs of a queue (api-behaviour op 35, runtime 22.6)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, changes, queue
from dagbook.db.repositories.queue import QueuedRunName
from dagbook.db.repositories.runs import run_writes, runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.admission import QueueConfig
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.runs.queue_signal import QueueSignal
from dagbook.runs.store import row_mapping

_log = logging.getLogger(__name__)
_BATCH = 100  # runs dequeued in one commit


class DequeueService:
    """Dequeues runs for users."""

    def __init__(self, database: Database, signal: QueueSignal, queues: QueueConfig, now: Clock) -> None:
        self._database = database
        self._signal = signal
        self._queues = queues
        self._now = now

    async def dequeue(self, run: RunRow, actor: Actor) -> None:
        """Dequeue a run: one that never ran is deleted, a retried one gets back the state before the retry.

        Raises BadRequestError when the run is not queued.
        """
        self._require_queues()
        named = f"run {shorten(run.run_id)} of DAG {shorten(run.dag_name)}"
        if run.status is not RunStatus.QUEUED:
            raise BadRequestError(f"{named} is not queued, it is {run.status.label}")
        now = self._now()
        if not await self._database.write(lambda connection: _dequeue(connection, [run], actor, now)):
            raise BadRequestError(f"{named} is no longer queued: it has just started")
        self._signal.notify(run.queue)

    async def clear(self, name: str, typed: str, actor: Actor) -> int:
        """Dequeue all runs that are in a queue now, and return their number.

        In batches, so that other writers do not wait for all; runs that are queued meanwhile stay. Raises
        BadRequestError unless ``typed`` is the queue's name.
        """
        self._require_queues()
        if typed != name:
            raise BadRequestError(
                f"name: {shorten(typed)} is not the queue of the path; type {shorten(name)} to clear it"
            )
        last = await self._database.read_inline(lambda connection: queue.last_entry_id(connection, name))
        removed = 0
        while batch := await self._database.read_inline(
            lambda connection: queue.find_batch(connection, name, last=last, most=_BATCH)
        ):
            now = self._now()
            removed += await self._database.write(lambda connection: _dequeue(connection, batch, actor, now))  # noqa: B023 - awaited at once
        self._signal.notify(name)
        _log.info("queue %s was cleared by %s: %d runs dequeued", shorten(name), actor.label or "unknown", removed)
        return removed

    def _require_queues(self) -> None:
        if not self._queues.enabled:
            raise BadRequestError("queues are switched off here; set queues_enabled to serve them")


def _dequeue(connection: WriteConnection, found: Sequence[RunRow | QueuedRunName], actor: Actor, at: datetime) -> int:
    """Dequeue those of the runs that are still queued, and return their number."""
    keys = run_writes.lock_queued(connection, [run.id for run in found])
    taken = queue.remove_entries(connection, keys)
    dequeued = [run for run in found if run.id in taken]
    audit.add(
        connection,
        *(
            actor.entry(run_action(Action.RUN_DEQUEUE, run, {"queue": run.queue, "attempt": run.attempt}), at)
            for run in dequeued
        ),
    )
    changes.add_queue_changes(connection, {run.queue for run in dequeued})
    queue.remove_runs(connection, [run.id for run in dequeued if run.attempt == 1])
    retried = [run for run in dequeued if run.attempt > 1]
    for run in retried:
        queue.revert_attempt(connection, run.id, run.attempt, run.queued_at)
        seq = runs.last_seq(connection, run.id) + 1
        event = row_mapping.dequeued_event(run.id, at, seq=seq, attempt=run.attempt, actor=actor.label)
        queue.add_event(connection, event)
    changes.add_run_changes(connection, [run.id for run in retried])
    return len(dequeued)
