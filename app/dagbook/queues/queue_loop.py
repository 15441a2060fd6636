"""Rounds after each queue signal, for the dispatcher and a worker, and signals to the servers of other processes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from dagbook.background import BackgroundLoop
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.notifications import notify_at_commit
from dagbook.engine.admission import QueueConfig
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.wakeups import QueueSignal

_log = logging.getLogger(__name__)

_CHANNEL = "dagbook_queues"


class QueueLoop:
    """Repeats ``work`` with the queues that were reported since its last round: woken by the signal, else by time."""

    def __init__(
        self,
        name: str,
        work: Callable[[set[str]], Awaitable[object]],
        active_runs: ActiveRuns,
        signal: QueueSignal,
        *,
        fallback_seconds: float,
        back_off_seconds: float,
    ) -> None:
        self._active_runs = active_runs
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
        for key, error in zip(keys, await self._active_runs.start_queued(keys), strict=True):
            if isinstance(error, RunRefusedError):
                refused += 1
            elif isinstance(error, DatabaseUnavailable):
                raise error
            elif error is not None:  # a run that cannot be started must not block its queue
                _log.error("queued run %s cannot be started", key, exc_info=error)
                await self._active_runs.fail_queued(key, f"the run could not be started{starter}: {error}")
        return refused


class QueueNotifier:
    """Passes the queue signal between processes; a lost notification costs at most 30 s (fallback poll)."""

    def __init__(self, database: Database, signal: QueueSignal, queues: QueueConfig) -> None:
        self._database = database
        self._signal = signal
        self._wakeups = database.notifications if queues.enabled else None

    def start(self) -> None:
        """Start listening, where queues are served; starting twice is harmless."""
        if self._wakeups is not None:
            self._wakeups.listen(_CHANNEL, self._signal.notify)

    async def stop(self) -> None:
        """Stop listening; stopping without a start is harmless."""
        if self._wakeups is not None:
            await self._wakeups.unlisten(_CHANNEL)

    async def notify(self) -> None:
        """Wake the dispatchers of all other servers on this database."""
        try:
            await self._database.write(notify_at_commit, _CHANNEL)
        except DatabaseUnavailable as error:
            _log.warning("other servers were not notified of free queue slots: %s", error)
