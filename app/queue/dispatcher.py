"""Lets queued runs go as soon as there is room: woken by whoever comes, goes or ends; it does not poll.

Every queue is served by a task of its own, for as long as somebody may leave it: none waits for what holds up another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Protocol

from app.db.database import Database
from app.db.failure import DatabaseUnavailable
from app.db.repositories import queue
from app.engine.admission import QueueConfig
from app.queue.carrier import Carrier
from app.queue.reasons import note_reasons
from app.runs.recorder import RunRefusedError
from app.runs.signal import EVERY, QueueSignal
from app.runs.turns import MOST_RELEASED, Look, look

_log = logging.getLogger(__name__)
_FALLBACK_SECONDS = 30.0  # whoever should have woken us may have died, and a configuration may have changed
_OUTAGE_SECONDS = 1.0
_LATER_SECONDS = 1.0  # a reason that does not last so long is not written down
_NOTES = "\0"  # no queue is called like this
_MOST_LOOKS = 8  # at a time
_MOST_REFUSALS = 3
_MANY = 4


class Drivers(Protocol):
    """Those who drive runs, seen from here."""

    async def release(self, keys: Sequence[int]) -> list[BaseException | None]:
        """Take runs out of their queue and drive them; returns for each why not.

        That is RunRefusedError when it is not the run's turn any more.
        """

    async def give_up(self, key: int, reason: str) -> None:
        """End a run that waits and cannot be begun."""


class Dispatcher:
    """Serves the queues of the database; any number of servers may do so."""

    def __init__(
        self, database: Database, drivers: Drivers, signal: QueueSignal, queues: QueueConfig, carrier: Carrier
    ) -> None:
        self._database = database
        self._drivers = drivers
        self._carrier = carrier
        self._signal = signal
        self._queues = queues
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._looks = asyncio.Semaphore(_MOST_LOOKS)
        self._unnoted: set[str] = set()

    def start(self) -> None:
        """Begin to serve, unless queues are switched off; starting twice is harmless."""
        if self._task is None and self._queues.enabled:
            self._stopping = False
            self._signal.tell()
            self._task = asyncio.create_task(self._run(), name="dispatcher")

    async def stop(self) -> None:
        """Let nobody go any more; stopping without a start is harmless."""
        self._stopping = True
        self._signal.tell()
        if self._task is not None:
            await self._task
            self._task = None

    async def run_once(self, names: set[str]) -> None:
        """Let everybody go who may in these queues, all of them when EVERY is among them; note why others wait."""
        if EVERY in names:
            names = set(await self._database.glance(queue.find_queues))
        for name in sorted(names):
            await self._serve_queue(name)
        await note_reasons(self._database, self._queues, names)

    async def _run(self) -> None:
        while not self._stopping:
            for name in await self._worth_a_look(await self._signal.wait(_FALLBACK_SECONDS) or {EVERY}):
                self._begin(name)
        await asyncio.gather(*self._lanes.values())

    async def _worth_a_look(self, names: set[str]) -> set[str]:
        """Leave out queues in which nobody waits, where runs of many have ended at once: one look for all of them."""
        if len(names) < _MANY:
            return names
        try:
            waiting = await self._database.glance(lambda connection: queue.find_used(connection, names))
        except DatabaseUnavailable:
            return names  # each of them will say so
        return waiting | (names & {EVERY})

    # -- lanes -----------------------------------------------------------------------------------------------

    def _begin(self, name: str) -> None:
        """Let a queue be served, once more if it is being served: what has changed may not have been seen."""
        if self._stopping:
            return
        if name in self._lanes:
            self._again.add(name)
            return
        work = {EVERY: self._serve_every, _NOTES: self._note_all}.get(name, lambda: self._serve_queue(name))
        self._lanes[name] = lane = asyncio.create_task(self._guarded(work()), name=f"queue {name}")
        lane.add_done_callback(lambda _: self._end(name))

    def _end(self, name: str) -> None:
        del self._lanes[name]
        if name in self._again:
            self._again.discard(name)
            self._begin(name)

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except DatabaseUnavailable as error:
            _log.warning("queues are not served for a moment: %s", error)
            await asyncio.sleep(_OUTAGE_SECONDS)
            self._signal.tell()
        except Exception:  # noqa: BLE001 - the queues must be served on, whatever one round met
            _log.exception("a round of the dispatcher failed")

    async def _serve_every(self) -> None:
        for name in await self._database.glance(queue.find_queues):
            self._begin(name)

    async def _serve_queue(self, name: str) -> None:
        refusals = 0
        while not self._stopping:
            seen = await self._see(name)
            await self._carrier.offer(seen.carried)
            released = [run for run in seen.admission.released if run not in seen.carried]
            if not released:
                self._keep_in_mind(name, seen)
                return
            # Another server that serves the queue, too, or somebody who takes a run out of it, may be faster.
            refusals = 0 if await self._release(released) else refusals + 1
            if refusals == _MOST_REFUSALS:
                self._later(name)
                return

    async def _see(self, name: str) -> Look:
        async with self._looks:
            return await self._database.glance(lambda connection: look(connection, name, self._queues, MOST_RELEASED))

    async def _release(self, keys: Sequence[int]) -> bool:
        """Let runs go; False when it was the turn of none of them any more."""
        refused = 0
        for key, error in zip(keys, await self._drivers.release(keys), strict=True):
            if isinstance(error, RunRefusedError):
                refused += 1
            elif isinstance(error, DatabaseUnavailable):
                raise error
            elif error is not None:  # one run that cannot be begun must not hold up its queue
                _log.error("queued run %s cannot be begun", key, exc_info=error)
                await self._drivers.give_up(key, f"the run could not be begun: {error}")
        return refused < len(keys)

    # -- reasons ---------------------------------------------------------------------------------------------

    def _keep_in_mind(self, name: str, seen: Look) -> None:
        if not seen.rows:
            self._unnoted.discard(name)
            return
        if not self._unnoted:
            self._later(_NOTES)
        self._unnoted.add(name)

    async def _note_all(self) -> None:
        unnoted, self._unnoted = self._unnoted, set()
        await note_reasons(self._database, self._queues, unnoted)

    def _later(self, name: str) -> None:
        asyncio.get_running_loop().call_later(_LATER_SECONDS, self._begin, name)
