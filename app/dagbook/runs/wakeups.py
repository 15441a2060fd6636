"""What wakes those who wait for runs: the callers of a run that has finished, and the loops that serve queues."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs import runs

_log = logging.getLogger(__name__)
_POLL_SECONDS = 1.0  # for runs of other servers; the end of a run of this process is notified at once
ALL_QUEUES = ""


class RunCompletion:
    """Wakes the tasks that wait for a run to finish, on this server or another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[int, asyncio.Event] = {}
        self._polling: asyncio.Task[None] | None = None

    async def wait(self, key: int) -> None:
        """Return when a run has finished."""
        finished = self._waiting.setdefault(key, asyncio.Event())
        if await self._find_finished([key]):
            self.notify(key)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll(), name="run completion")
        await finished.wait()

    def notify(self, key: int) -> None:
        """Wake the tasks that wait for a run: it has finished."""
        if finished := self._waiting.pop(key, None):
            finished.set()

    def stop(self) -> None:
        """Stop polling."""
        if self._polling is not None:
            self._polling.cancel()

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                for key in await self._find_finished(list(self._waiting)):
                    self.notify(key)
            except DatabaseUnavailable as error:
                _log.warning("cannot read which runs have finished, trying again: %s", error)
        self._polling = None

    async def _find_finished(self, keys: list[int]) -> list[int]:
        return list(await self._database.read_inline(lambda connection: runs.find_finished(connection, keys)))


class QueueSignal:
    """Names of the queues in which a run was added, was removed or has finished; notifications coalesce."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._wakes: list[Callable[[], None]] = []

    def connect(self, wake: Callable[[], None]) -> None:
        """Add what wakes a loop: that which takes the names, and others that follow the ends of runs."""
        self._wakes.append(wake)

    def notify(self, queue: str = ALL_QUEUES) -> None:
        """Report a change of a queue, by default of all."""
        self._names.add(queue)
        for wake in self._wakes:
            wake()

    def take(self) -> set[str]:
        """Return the queues reported since the last call."""
        names, self._names = self._names, set()
        return names
