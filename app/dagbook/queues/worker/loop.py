"""The loop of a worker: takes offered runs that fit its labels, up to its capacity."""

from __future__ import annotations

from dagbook.engine.admission import Labels
from dagbook.queues.queue_loop import QueueLoop, QueueNotifier
from dagbook.queues.worker.transport import WorkerTransport
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.wakeups import QueueSignal

OFFERS = "\0offers"  # the name in the queue signal for a new offer; not a valid queue name
_FALLBACK_SECONDS = 5.0  # PgQueuer sends no notification for the offers of a dead worker
_OUTAGE_SECONDS = 1.0


class WorkerLoop:
    """Takes offers and starts their runs until it is stopped."""

    def __init__(
        self,
        transport: WorkerTransport,
        active_runs: ActiveRuns,
        signal: QueueSignal,
        notifier: QueueNotifier,
        labels: Labels,
        capacity: int,
    ) -> None:
        self._transport = transport
        self._active_runs = active_runs
        self._notifier = notifier
        self._labels = labels
        self._capacity = capacity
        self._loop = QueueLoop(
            "worker",
            self._take_all,
            active_runs,
            signal,
            fallback_seconds=_FALLBACK_SECONDS,
            back_off_seconds=_OUTAGE_SECONDS,
        )

    def start(self) -> None:
        """Start taking offers; starting twice is harmless."""
        self._loop.start()

    async def stop(self) -> None:
        """Take no more offers; active runs continue."""
        await self._loop.stop()

    async def _take_all(self, changed: set[str]) -> None:
        if changed - {OFFERS}:
            await self._notifier.notify()  # dispatchers need to know of enqueued, dequeued and finished runs
        while not self._loop.is_stopping and await self.take_once():
            pass

    async def take_once(self) -> int:
        """Take as many offers as there is capacity for, and return their number."""
        free = self._capacity - self._active_runs.active_count
        offers = await self._transport.take(self._labels, free) if free > 0 else ()
        if not offers:
            return 0
        refused = await self._loop.start_runs([offer.run for offer in offers], " by a worker")
        await self._transport.remove(offers)
        if refused:
            await self._notifier.notify()  # the run may start later, and its offer was removed
        return len(offers)
