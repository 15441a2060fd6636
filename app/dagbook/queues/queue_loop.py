"""What the dispatcher and a worker have in common: rounds after each queue signal, and starts of queued runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from dagbook.background import BackgroundLoop
from dagbook.db.errors import DatabaseUnavailable
from dagbook.runs.ports import RunControl
from dagbook.runs.queue_signal import QueueSignal
from dagbook.runs.store.recorder import RunRefusedError

_log = logging.getLogger(__name__)


class QueueLoop:
    """Repeats ``work`` with the queues that were reported since its last round: woken by the signal, else by time."""

    def __init__(
        self,
        name: str,
        work: Callable[[set[str]], Awaitable[object]],
        run_control: RunControl,
        signal: QueueSignal,
        *,
        fallback_seconds: float,
        back_off_seconds: float,
    ) -> None:
        self._run_control = run_control
        self._signal = signal
        self._loop = BackgroundLoop(
            name,
            lambda: work(signal.take()),
            every_seconds=fallback_seconds,
            failure=f"a round of the {name} failed",
            expected=(DatabaseUnavailable,),
            back_off_seconds=back_off_seconds,
        )
        signal.connect(self._loop.wake)

    @property
    def is_stopping(self) -> bool:
        return self._loop.is_stopping

    def start(self) -> None:
        """Start with a round for all queues; starting twice is harmless."""
        if not self._loop.is_started:
            self._signal.notify()
            self._loop.start(0.0)

    async def stop(self) -> None:
        """Stop after the active round; stopping without a start is harmless."""
        await self._loop.stop()

    async def start_runs(self, keys: Sequence[int], starter: str = "") -> int:
        """Start queued runs; returns how many were refused. Raises DatabaseUnavailable.

        ``starter`` is named in the error of a run that cannot be started.
        """
        refused = 0
        for key, error in zip(keys, await self._run_control.start_queued(keys), strict=True):
            if isinstance(error, RunRefusedError):
                refused += 1
            elif isinstance(error, DatabaseUnavailable):
                raise error
            elif error is not None:  # a run that cannot be started must not block its queue
                _log.error("queued run %s cannot be started", key, exc_info=error)
                await self._run_control.fail_queued(key, f"the run could not be started{starter}: {error}")
        return refused
