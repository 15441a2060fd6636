"""Use cases: pause and resume a queue, change the order of its entries."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, changes, queue
from dagbook.db.repositories.queue import ItemRow
from dagbook.db.repositories.runs import run_writes
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import check_queue, shorten
from dagbook.runs.queue_signal import QueueSignal

_log = logging.getLogger(__name__)
HIGHEST_PRIORITY = 1000
_MAX_ITEM = 2**63


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

    async def pause(self, name: str, actor: Actor) -> None:
        """Pause a queue: no run leaves it after this has returned; active runs continue."""
        check_queue(name)
        now = self._now()

        def work(connection: WriteConnection) -> None:
            _lock_queue(connection, name)
            queue.pause(connection, name, now, actor.label)
            _publish(connection, Action.QUEUE_PAUSE, name, actor, now)

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
    connection: WriteConnection, action: Action, name: str, actor: Actor, at: datetime, after: Any = None
) -> None:
    audit.add(connection, actor.entry(AuditAction(action=action, kind="queue", name=name, after=after), at))
    changes.add_queue_changes(connection, [name])


def _lock_queue(connection: WriteConnection, name: str) -> None:
    """Lock the queue, so that no server starts one of its runs meanwhile."""
    run_writes.lock_names(connection, {f"queue {name}"})
