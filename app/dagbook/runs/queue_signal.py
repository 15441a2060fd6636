"""How those who serve queues hear that something has changed in one."""

from __future__ import annotations

import asyncio

ALL_QUEUES = ""  # no queue in particular


class QueueSignal:
    """Says in which queues a run has come, has gone or has ended; told twice is told once."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._told = asyncio.Event()

    def notify(self, queue: str = ALL_QUEUES) -> None:
        """Say that something has changed in a queue."""
        self._names.add(queue)
        self._told.set()

    async def wait(self, seconds: float) -> set[str]:
        """Return the queues of which was told since the last time; after so many seconds none."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return set()
        self._told.clear()
        names, self._names = self._names, set()
        return names
