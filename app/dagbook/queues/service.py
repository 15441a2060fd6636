"""Use cases of queues: pause, resume, reorder, and dequeue runs (api-behaviour op 35, runtime 22.6)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction, Values, run_action
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, changes, queue
from dagbook.db.repositories.queue import ItemRow, PauseRow, QueuedRunName
from dagbook.db.repositories.runs import run_writes, runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.admission import QueueConfig
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import check_queue, shorten
from dagbook.runs.store import row_mapping
from dagbook.runs.wakeups import QueueSignal

_log = logging.getLogger(__name__)
HIGHEST_PRIORITY = 1000
_MAX_ITEM = 2**63

_BATCH = 100  # runs dequeued in one commit


class MoveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The new position of an entry: behind all others of a priority, at the front, or right behind another entry."""

    priority: int | None = None
    to_front: bool = False
    after: int | None = None


class QueueService:
    """Pauses, resumes and reorders queues for users."""

    def __init__(self, database: Database, signal: QueueSignal, now: Clock) -> None:
        self._database = database
        self._signal = signal
        self._now = now

    async def pause(self, name: str, actor: Actor, reason: str | None = None, until: datetime | None = None) -> None:
        """Pause a queue: no run leaves it after this has returned; active runs continue."""
        check_queue(name)
        now = self._now()
        row = PauseRow(queue=name, paused_at=now, paused_by=actor.label, pause_reason=reason, until=until)
        known = {"reason": reason, "until": until and until.isoformat()}

        def work(connection: WriteConnection) -> None:
            _lock_queue(connection, name)
            queue.pause(connection, row)
            after = {key: value for key, value in known.items() if value}
            _publish(connection, Action.QUEUE_PAUSE, name, actor, now, after or None)

        await self._database.write(work)
        self._signal.notify(name)
        _log.info("queue %s was paused by %s", shorten(name), actor.label or "unknown")

    async def resume(self, name: str, actor: Actor) -> None:
        check_queue(name)
        now = self._now()

        def work(connection: WriteConnection) -> None:
            queue.resume(connection, name)
            _publish(connection, Action.QUEUE_RESUME, name, actor, now)

        await self._database.write(work)
        self._signal.notify(name)
        _log.info("queue %s was resumed by %s", shorten(name), actor.label or "unknown")

    async def move(self, name: str, item: int, request: MoveRequest, actor: Actor) -> None:
        """Change the priority of an entry, which puts it behind the others of that priority, or its position.

        At the front it gets the priority of the first entry, if that is higher; behind another entry it gets that
        one's. Raises NotFoundError when one of the entries is not in the queue.
        """
        _check(request)
        now = self._now()

        def work(connection: WriteConnection) -> None:
            _move(connection, name, item, request)
            after = {"item": item, "priority": request.priority, "toFront": request.to_front}
            after |= {} if request.after is None else {"after": request.after}
            _publish(connection, Action.QUEUE_MOVE, name, actor, now, after)

        await self._database.write(work)
        self._signal.notify(name)
        _log.info("entry %d of queue %s was moved by %s", item, shorten(name), actor.label or "unknown")


def check_priority(priority: int) -> int:
    """Return a valid priority. Raises BadRequestError."""
    if not -HIGHEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise BadRequestError(f"priority: {priority} is not between -{HIGHEST_PRIORITY} and {HIGHEST_PRIORITY}")
    return priority


def _check(request: MoveRequest) -> None:
    if request.after is not None:
        if request.priority is not None or request.to_front:
            raise BadRequestError("after: is given together with another position; give one of them")
        if not 0 < request.after < _MAX_ITEM:
            raise BadRequestError(f"after: {request.after} is not the number of an entry")
    elif request.priority is None and not request.to_front:
        raise BadRequestError(
            "priority: is missing; give a priority, or toFront: true, or after: the number of an entry"
        )


def _move(connection: WriteConnection, name: str, item: int, request: MoveRequest) -> None:
    _lock_queue(connection, name)
    entry = _require(connection, name, item)
    priority = entry.priority if request.priority is None else request.priority
    if request.after is not None:
        other = _require(connection, name, request.after)
        if entry.id == other.id:
            raise BadRequestError("after: names the entry itself")
        # Entries are shifted to free a place behind it: places are integers, and new entries get the highest, 0.
        queue.shift_up_to(connection, name, other, by=-2)
        queue.move(connection, entry.id, priority=other.priority, place=other.place - 1)
    elif request.to_front:
        _move_to_front(connection, name, entry, priority)
    elif priority != entry.priority:
        queue.move(connection, item, priority=priority, place=0)


def _require(connection: WriteConnection, name: str, item: int) -> ItemRow:
    entry = queue.get_item(connection, name, item)
    if entry is None:
        raise NotFoundError(f"there is no entry {item} in queue {shorten(name)}; its run may have just started")
    return entry


def _move_to_front(connection: WriteConnection, name: str, entry: ItemRow, priority: int) -> None:
    first = queue.find_next(connection, name, 1)
    highest = max([priority, *(row.priority for row in first)])
    front = queue.find_front(connection, name, highest)
    if not first or first[0].id != entry.id or highest != entry.priority:
        queue.move(connection, entry.id, priority=highest, place=min(front or 0, 0) - 1)


def _publish(
    connection: WriteConnection, action: Action, name: str, actor: Actor, at: datetime, after: Values = None
) -> None:
    audit.add(connection, actor.entry(AuditAction(action=action, kind="queue", name=name, after=after), at))
    changes.add_queue_changes(connection, [name])


def _lock_queue(connection: WriteConnection, name: str) -> None:
    """Lock the queue, so that no server starts one of its runs meanwhile."""
    run_writes.lock_names(connection, {f"queue {name}"})


class DequeueService:
    """Dequeues runs for users."""

    def __init__(self, database: Database, signal: QueueSignal, queues: QueueConfig, now: Clock) -> None:
        self._database = database
        self._signal = signal
        self._queues = queues
        self._now = now

    async def dequeue(self, run: RunRow, actor: Actor) -> None:
        """Dequeue a run: one that never ran is deleted, a retried one gets back the state before the retry.

        Raises BadRequestError when the run is not queued, and NotFoundError when another request has just deleted it.
        """
        self._require_queues()
        named = f"run {shorten(run.run_id)} of DAG {shorten(run.dag_name)}"
        if run.status is not RunStatus.QUEUED:
            raise BadRequestError(f"{named} is not queued, it is {run.status.label}")
        now = self._now()

        def work(connection: WriteConnection) -> None:
            if dequeue(connection, [run], actor, now):
                return
            current = runs.get(connection, run.dag_name, run.run_id)
            if current is None or current.id != run.id:
                raise NotFoundError(f"there is no {named}")
            raise BadRequestError(f"{named} is no longer queued, it is {current.status.label}")

        await self._database.write(work)
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
        last = await self._database.read_inline(queue.last_entry_id, name)
        removed = 0
        while batch := await self._database.read_inline(queue.find_batch, name, last=last, most=_BATCH):
            now = self._now()
            removed += await self._database.write(dequeue, batch, actor, now)
        self._signal.notify(name)
        _log.info("queue %s was cleared by %s: %d runs dequeued", shorten(name), actor.label or "unknown", removed)
        return removed

    def _require_queues(self) -> None:
        if not self._queues.enabled:
            raise BadRequestError("queues are switched off here; set queues_enabled to serve them")


def dequeue(connection: WriteConnection, found: Sequence[RunRow | QueuedRunName], actor: Actor, at: datetime) -> int:
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
        run_writes.add_events(connection, [event])
    changes.add_run_changes(connection, [run.id for run in retried])
    return len(dequeued)
