"""The loop of a worker: takes offered runs that fit its labels, up to its capacity."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from dagbook.db.errors import DatabaseUnavailable
from dagbook.engine.admission import Labels
from dagbook.queues.notifier import QueueNotifier
from dagbook.queues.worker.transport import WorkerTransport
from dagbook.runs.ports import RunControl
from dagbook.runs.queue_signal import QueueSignal
from dagbook.runs.store.recorder import RunRefusedError

_log = logging.getLogger(__name__)
OFFERS = "\0offers"  # the name in the queue signal for a new offer; not a valid queue name
_FALLBACK_SECONDS = 5.0  # PgQueuer sends no notification for the offers of a dead worker
_OUTAGE_SECONDS = 1.0


class WorkerLoop:
    """Takes offers and starts their runs until it is stopped."""

    def __init__(
        self,
        transport: WorkerTransport,
        run_control: RunControl,
        signal: QueueSignal,
        notifier: QueueNotifier,
        labels: Labels,
        capacity: int,
    ) -> None:
        self._transport = transport
        self._run_control = run_control
        self._signal = signal
        self._notifier = notifier
        self._labels = labels
        self._capacity = capacity
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start taking offers; starting twice is harmless."""
        if self._task is None:
            self._signal.notify()
            self._task = asyncio.create_task(self._run(), name="worker loop")

    async def stop(self) -> None:
        """Take no more offers; active runs continue."""
        self._stopping = True
        self._signal.notify()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        while not self._stopping:
            if await self._signal.wait(_FALLBACK_SECONDS) - {OFFERS} and not self._stopping:
                await self._notifier.notify()  # dispatchers need to know of enqueued, dequeued and finished runs
            await self._take_all()

    async def _take_all(self) -> None:
        try:
            while not self._stopping and await self.take_once():
                pass
        except DatabaseUnavailable as error:
            _log.warning("the worker waits for the database: %s", error)
            await asyncio.sleep(_OUTAGE_SECONDS)
        except Exception:  # noqa: BLE001 - an error must not stop the worker
            _log.exception("a round of the worker failed")
            await asyncio.sleep(_OUTAGE_SECONDS)

    async def take_once(self) -> int:
        """Take as many offers as there is capacity for, and return their number."""
        free = self._capacity - self._run_control.active_count
        offers = await self._transport.take(self._labels, free) if free > 0 else ()
        if not offers:
            return 0
        refused = await self._start_runs([offer.run for offer in offers])
        await self._transport.remove(offers)
        if refused:
            await self._notifier.notify()  # the run may start later, and its offer was removed
        return len(offers)

    async def _start_runs(self, runs: Sequence[int]) -> int:
        refused = 0
        for run, error in zip(runs, await self._run_control.start_queued(runs), strict=True):
            if isinstance(error, RunRefusedError):
                refused += 1
            elif isinstance(error, DatabaseUnavailable):
                raise error
            elif error is not None:
                _log.error("run %s cannot be started", run, exc_info=error)
                await self._run_control.fail_queued(run, f"the run could not be started by a worker: {error}")
        return refused
