"""Starts queued runs as soon as a limit allows: woken by the queue signal, with a poll as the fallback.

Every queue is served by its own task, so that no queue waits for another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import queue
from dagbook.engine.admission import QueueConfig
from dagbook.queues.queue_loop import QueueLoop
from dagbook.queues.wait_reasons import store_reasons
from dagbook.queues.worker.transport import WorkerTransport
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.store.queue_head import MAX_RELEASED, QueueHead, read_queue_head
from dagbook.runs.wakeups import ALL_QUEUES, QueueSignal

_log = logging.getLogger(__name__)
_FALLBACK_SECONDS = 30.0  # a signal may be lost with its sender, and the configuration may have changed
_OUTAGE_SECONDS = 1.0
_RETRY_SECONDS = 1.0  # a reason that lasts shorter is not stored; delay of a retry after refusals
_LEAST_WAIT_SECONDS = 0.1  # the clock of the database may be behind this one
_REASONS = "\0"  # not a valid queue name
_MAX_READS = 8  # at the same time
_MAX_REFUSALS = 3
_MANY = 4


class Dispatcher:
    """Starts the queued runs of a database; any number of servers may do so."""

    def __init__(
        self,
        database: Database,
        active_runs: ActiveRuns,
        signal: QueueSignal,
        queues: QueueConfig,
        transport: WorkerTransport,
    ) -> None:
        self._database = database
        self._transport = transport
        self._signal = signal
        self._queues = queues
        self._now = active_runs.context.now
        self._loop = QueueLoop(
            "dispatcher",
            self._start_lanes,
            active_runs,
            signal,
            fallback_seconds=_FALLBACK_SECONDS,
            back_off_seconds=_OUTAGE_SECONDS,
        )
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._repeat: set[str] = set()
        self._reads = asyncio.Semaphore(_MAX_READS)
        self._without_reason: set[str] = set()

    def start(self) -> None:
        """Start serving, unless queues are switched off; starting twice is harmless."""
        if self._queues.enabled:
            self._loop.start()

    async def stop(self) -> None:
        """Start no more runs; stopping without a start is harmless."""
        await self._loop.stop()
        await asyncio.gather(*self._lanes.values())

    async def run_once(self, names: set[str]) -> None:
        """Start all runs that may start in these queues, in every queue with EVERY; store the reasons of the others."""
        if ALL_QUEUES in names:
            names = set(await self._database.read_inline(queue.find_queues))
        for name in sorted(names):
            await self._serve_queue(name)
        await store_reasons(self._database, self._queues, names)

    async def _with_entries(self, names: set[str]) -> set[str]:
        """Leave out empty queues when many are to be served: one statement instead of one for each."""
        if len(names) < _MANY:
            return names
        try:
            waiting = await self._database.read_inline(queue.find_used, names)
        except DatabaseUnavailable:
            return names  # each queue logs the outage
        return waiting | (names & {ALL_QUEUES})

    # -- lanes -----------------------------------------------------------------------------------------------

    async def _start_lanes(self, changed: set[str]) -> None:
        for name in await self._with_entries(changed or {ALL_QUEUES}):
            self._start_lane(name)

    def _start_lane(self, name: str) -> None:
        """Serve a queue in a new task; if one is active, again after it, since it may have missed the change."""
        if self._loop.is_stopping:
            return
        if name in self._lanes:
            self._repeat.add(name)
            return
        work = {ALL_QUEUES: self._serve_every, _REASONS: self._store_reasons}.get(name, lambda: self._serve_queue(name))
        self._lanes[name] = lane = asyncio.create_task(self._retry_on_outage(work()), name=f"queue {name}")

        def end(_lane: asyncio.Task[None]) -> None:
            del self._lanes[name]
            if name in self._repeat:
                self._repeat.discard(name)
                self._start_lane(name)

        lane.add_done_callback(end)

    async def _retry_on_outage(self, work: Awaitable[None]) -> None:
        try:
            await work
        except DatabaseUnavailable as error:
            _log.warning("queues wait for the database: %s", error)
            await asyncio.sleep(_OUTAGE_SECONDS)
            self._signal.notify()
        except Exception:  # noqa: BLE001 - an error must not stop the dispatcher
            _log.exception("a round of the dispatcher failed")

    async def _serve_every(self) -> None:
        for name in await self._database.read_inline(queue.find_queues):
            self._start_lane(name)

    async def _serve_queue(self, name: str) -> None:
        refusals = 0
        while not self._loop.is_stopping:
            async with self._reads:
                head = await self._database.read_inline(read_queue_head, name, self._queues, MAX_RELEASED)
            if head.for_workers:
                await self._transport.offer(head.for_workers)
            released = [run for run in head.admission.released if run not in head.for_workers]
            if not released:
                self._schedule_reasons(name, head)
                self._wake_after_pause(name, head)
                return
            # Another server or a dequeue may be faster.
            refusals = refusals + 1 if await self._loop.start_runs(released) == len(released) else 0
            if refusals == _MAX_REFUSALS:
                self._retry_later(name)
                return

    # -- reasons ---------------------------------------------------------------------------------------------

    def _schedule_reasons(self, name: str, head: QueueHead) -> None:
        if not head.rows:
            self._without_reason.discard(name)
            return
        if not self._without_reason:
            self._retry_later(_REASONS)
        self._without_reason.add(name)

    async def _store_reasons(self) -> None:
        names, self._without_reason = self._without_reason, set()
        await store_reasons(self._database, self._queues, names)

    def _retry_later(self, name: str, seconds: float = _RETRY_SECONDS) -> None:
        asyncio.get_running_loop().call_later(seconds, self._start_lane, name)

    def _wake_after_pause(self, name: str, head: QueueHead) -> None:
        """Serve a queue again when its pause, or that of everything, ends, unless the fallback comes first."""
        pauses = [wait.pause for wait in head.admission.queued.values() if wait.pause is not None]
        if pauses and (until := pauses[0].until) is not None:
            seconds = (until - self._now()).total_seconds()
            if seconds < _FALLBACK_SECONDS:
                self._retry_later(name, max(seconds, _LEAST_WAIT_SECONDS))
