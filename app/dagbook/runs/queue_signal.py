"""Wake-up signal for the queue dispatcher of this process."""

from __future__ import annotations

import asyncio

ALL_QUEUES = ""


class QueueSignal:
    """Names of the queues in which a run was added, was removed or has finished; notifications coalesce."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._changed = asyncio.Event()

    def notify(self, queue: str = ALL_QUEUES) -> None:
        """Report a change of a queue, by default of all."""
        self._names.add(queue)
        self._changed.set()

    async def wait(self, seconds: float) -> set[str]:
        """Return the queues reported since the last call; an empty set after ``seconds`` without a report."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return set()
        self._changed.clear()
        names, self._names = self._names, set()
        return names
