"""Use cases: pause a queue and resume it, change the order of those that wait in it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from app.auth.origin import Action, Deed, Origin
from app.clock import Clock
from app.db.database import Database, WriteConnection
from app.db.repositories import audit, changes, queue, transitions
from app.db.repositories.reading import Row
from app.errors import BadRequestError, NotFoundError
from app.names import check_queue, shorten
from app.runs.signal import QueueSignal

_log = logging.getLogger(__name__)
HIGHEST_PRIORITY = 1000


class Order:
    """What people may ask of queues."""

    def __init__(self, database: Database, signal: QueueSignal, now: Clock) -> None:
        self._database = database
        self._signal = signal
        self._now = now

    async def pause(self, name: str, origin: Origin) -> None:
        """Let nobody leave a queue, from the moment on when this returns; those under way go on."""
        check_queue(name)
        now = self._now()

        def work(connection: WriteConnection) -> None:
            _take_turn(connection, name)
            queue.pause(connection, name, now, origin.label)
            _tell(connection, Action.QUEUE_PAUSE, name, origin, now)

        await self._database.write(work)
        self._signal.tell(name)
        _log.info("queue %s was paused by %s", shorten(name), origin.label or "somebody")

    async def resume(self, name: str, origin: Origin) -> None:
        """Let those leave a queue again who may."""
        check_queue(name)
        now = self._now()

        def work(connection: WriteConnection) -> None:
            queue.resume(connection, name)
            _tell(connection, Action.QUEUE_RESUME, name, origin, now)

        await self._database.write(work)
        self._signal.tell(name)
        _log.info("queue %s was resumed by %s", shorten(name), origin.label or "somebody")

    async def move(self, name: str, item: int, *, priority: int | None, to_front: bool, origin: Origin) -> None:
        """Give one that waits another priority, behind those that have it already, or move it before all others.

        At the front it has the priority of the one that was first, if that is higher. Raises NotFoundError when it
        does not wait there.
        """
        if priority is None and not to_front:
            raise BadRequestError("priority: is missing; give a priority, or toFront: true")
        now = self._now()

        def work(connection: WriteConnection) -> None:
            wanted = {"item": item, "priority": priority, "toFront": to_front}
            _move(connection, name, item, priority=priority, to_front=to_front)
            _tell(connection, Action.QUEUE_MOVE, name, origin, now, wanted)

        await self._database.write(work)
        self._signal.tell(name)
        _log.info("entry %d of queue %s was moved by %s", item, shorten(name), origin.label or "somebody")


def check_priority(priority: int) -> int:
    """Return a priority if it is one; raises BadRequestError."""
    if not -HIGHEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise BadRequestError(f"priority: {priority} is not between -{HIGHEST_PRIORITY} and {HIGHEST_PRIORITY}")
    return priority


def _move(connection: WriteConnection, name: str, item: int, *, priority: int | None, to_front: bool) -> None:
    _take_turn(connection, name)
    entry = queue.get_item(connection, name, item)
    if entry is None:
        raise NotFoundError(f"there is no entry {item} in queue {shorten(name)}; it may have begun just now")
    wanted = entry["priority"] if priority is None else priority
    if to_front:
        _move_to_front(connection, name, entry, wanted)
    elif wanted != entry["priority"]:
        queue.move(connection, item, priority=wanted, place=0)


def _move_to_front(connection: WriteConnection, name: str, entry: Row, priority: int) -> None:
    first = queue.find_next(connection, name, 1)
    highest = max([priority, *(row["priority"] for row in first)])
    front = queue.find_front(connection, name, highest)
    if not first or first[0]["id"] != entry["id"] or highest != entry["priority"]:
        queue.move(connection, entry["id"], priority=highest, place=min(front or 0, 0) - 1)


def _tell(
    connection: WriteConnection, action: Action, name: str, origin: Origin, at: datetime, after: Any = None
) -> None:
    audit.add(connection, origin.entry(Deed(action=action, kind="queue", name=name, after=after), at))
    changes.tell_queues(connection, [name])


def _take_turn(connection: WriteConnection, name: str) -> None:
    """Let no server decide meanwhile about who leaves the queue."""
    transitions.take_turns(connection, {f"queue {name}"})
