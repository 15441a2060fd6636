"""Use cases: pause a queue and resume it, change the order of those that wait in it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import msgspec

from app.auth.audit_context import Action, Actor, AuditAction
from app.clock import Clock
from app.db.database import Database, WriteConnection
from app.db.repositories import audit, changes, queue, transitions
from app.db.repositories.reading import Row
from app.errors import BadRequestError, NotFoundError
from app.names import check_queue, shorten
from app.runs.signal import QueueSignal

_log = logging.getLogger(__name__)
HIGHEST_PRIORITY = 1000
_MOST_ITEM = 2**63


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Where one that waits is to stand: behind all others of a priority, before all, or right behind another one."""

    priority: int | None = None
    to_front: bool = False
    after: int | None = None


class Order:
    """What people may ask of queues."""

    def __init__(self, database: Database, signal: QueueSignal, now: Clock) -> None:
        self._database = database
        self._signal = signal
        self._now = now

    async def pause(self, name: str, origin: Actor) -> None:
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

    async def resume(self, name: str, origin: Actor) -> None:
        """Let those leave a queue again who may."""
        check_queue(name)
        now = self._now()

        def work(connection: WriteConnection) -> None:
            queue.resume(connection, name)
            _tell(connection, Action.QUEUE_RESUME, name, origin, now)

        await self._database.write(work)
        self._signal.tell(name)
        _log.info("queue %s was resumed by %s", shorten(name), origin.label or "somebody")

    async def move(self, name: str, item: int, wanted: Move, origin: Actor) -> None:
        """Give one that waits another priority, behind those that have it already, or another place.

        At the front it has the priority of the one that was first, if that is higher; behind another one it has that
        one's. Raises NotFoundError when it, or that other one, does not wait there.
        """
        _check(wanted)
        now = self._now()

        def work(connection: WriteConnection) -> None:
            _move(connection, name, item, wanted)
            told = {"item": item, "priority": wanted.priority, "toFront": wanted.to_front}
            told |= {} if wanted.after is None else {"after": wanted.after}
            _tell(connection, Action.QUEUE_MOVE, name, origin, now, told)

        await self._database.write(work)
        self._signal.tell(name)
        _log.info("entry %d of queue %s was moved by %s", item, shorten(name), origin.label or "somebody")


def check_priority(priority: int) -> int:
    """Return a priority if it is one; raises BadRequestError."""
    if not -HIGHEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise BadRequestError(f"priority: {priority} is not between -{HIGHEST_PRIORITY} and {HIGHEST_PRIORITY}")
    return priority


def _check(wanted: Move) -> None:
    if wanted.after is not None:
        if wanted.priority is not None or wanted.to_front:
            raise BadRequestError("after: is given together with another place; give one of them")
        if not 0 < wanted.after < _MOST_ITEM:
            raise BadRequestError(f"after: {wanted.after} is no number of an entry")
    elif wanted.priority is None and not wanted.to_front:
        raise BadRequestError(
            "priority: is missing; give a priority, or toFront: true, or after: the number of an entry"
        )


def _move(connection: WriteConnection, name: str, item: int, wanted: Move) -> None:
    _take_turn(connection, name)
    entry = _require(connection, name, item)
    priority = entry["priority"] if wanted.priority is None else wanted.priority
    if wanted.after is not None:
        _move_behind(connection, name, entry, _require(connection, name, wanted.after))
    elif wanted.to_front:
        _move_to_front(connection, name, entry, priority)
    elif priority != entry["priority"]:
        queue.move(connection, item, priority=priority, place=0)


def _require(connection: WriteConnection, name: str, item: int) -> Row:
    entry = queue.get_item(connection, name, item)
    if entry is None:
        raise NotFoundError(f"there is no entry {item} in queue {shorten(name)}; it may have begun just now")
    return entry


def _move_behind(connection: WriteConnection, name: str, entry: Row, other: Row) -> None:
    """Make room behind another one: places are whole numbers, and who comes later gets the highest, 0."""
    if entry["id"] == other["id"]:
        raise BadRequestError("after: names the entry itself")
    queue.shift_up_to(connection, name, other, by=-2)
    queue.move(connection, entry["id"], priority=other["priority"], place=other["place"] - 1)


def _move_to_front(connection: WriteConnection, name: str, entry: Row, priority: int) -> None:
    first = queue.find_next(connection, name, 1)
    highest = max([priority, *(row["priority"] for row in first)])
    front = queue.find_front(connection, name, highest)
    if not first or first[0]["id"] != entry["id"] or highest != entry["priority"]:
        queue.move(connection, entry["id"], priority=highest, place=min(front or 0, 0) - 1)


def _tell(
    connection: WriteConnection, action: Action, name: str, origin: Actor, at: datetime, after: Any = None
) -> None:
    audit.add(connection, origin.entry(AuditAction(action=action, kind="queue", name=name, after=after), at))
    changes.tell_queues(connection, [name])


def _take_turn(connection: WriteConnection, name: str) -> None:
    """Let no server decide meanwhile about who leaves the queue."""
    transitions.take_turns(connection, {f"queue {name}"})
