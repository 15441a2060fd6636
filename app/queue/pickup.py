"""A worker's side of the queues: takes up runs that are offered to its labels, as many at a time as it has room for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from app.db.failure import DatabaseUnavailable
from app.engine.admission import Labels
from app.queue.bell import Bell
from app.queue.carrier import Carrier
from app.queue.dispatcher import Drivers
from app.runs.recorder import RunRefusedError
from app.runs.signal import QueueSignal

_log = logging.getLogger(__name__)
OFFERS = "\0offers"  # what the signal is told when something is offered; no queue is called like this
_FALLBACK_SECONDS = 5.0  # an offer of a worker that died is nobody's news
_OUTAGE_SECONDS = 1.0


class Load(Drivers, Protocol):
    """Those who drive runs, seen from here."""

    @property
    def load(self) -> int:
        """How many runs they drive."""


class Pickup:
    """Takes up offers until it is stopped."""

    def __init__(
        self, carrier: Carrier, drivers: Load, signal: QueueSignal, bell: Bell, labels: Labels, capacity: int
    ) -> None:
        self._carrier = carrier
        self._drivers = drivers
        self._signal = signal
        self._bell = bell
        self._labels = labels
        self._capacity = capacity
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take up runs; starting twice is harmless."""
        if self._task is None:
            self._signal.tell()
            self._task = asyncio.create_task(self._run(), name="pickup")

    async def stop(self) -> None:
        """Take up nothing any more; what is under way goes on."""
        self._stopping = True
        self._signal.tell()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        while not self._stopping:
            if await self._signal.wait(_FALLBACK_SECONDS) - {OFFERS} and not self._stopping:
                await self._bell.ring()  # who serves queues has to hear that somebody has come, gone or ended
            await self._take_all()

    async def _take_all(self) -> None:
        try:
            while not self._stopping and await self.take_once():
                pass
        except DatabaseUnavailable as error:
            _log.warning("no runs are taken up for a moment: %s", error)
            await asyncio.sleep(_OUTAGE_SECONDS)
        except Exception:  # noqa: BLE001 - runs must be taken up again, whatever one round met
            _log.exception("a round of taking up runs failed")
            await asyncio.sleep(_OUTAGE_SECONDS)

    async def take_once(self) -> int:
        """Take up what there is room for, and tell how many offers that were."""
        room = self._capacity - self._drivers.load
        offers = await self._carrier.take(self._labels, room) if room > 0 else ()
        if not offers:
            return 0
        refused = await self._begin([offer.run for offer in offers])
        await self._carrier.settle(offers)
        if refused:
            await self._bell.ring()  # its turn may come later, and the offer is gone
        return len(offers)

    async def _begin(self, runs: Sequence[int]) -> int:
        refused = 0
        for run, error in zip(runs, await self._drivers.release(runs), strict=True):
            if isinstance(error, RunRefusedError):
                refused += 1
            elif isinstance(error, DatabaseUnavailable):
                raise error
            elif error is not None:
                _log.error("run %s cannot be begun", run, exc_info=error)
                await self._drivers.give_up(run, f"the run could not be begun by a worker: {error}")
        return refused
