"""One question for all who want to know the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Asks once for all who wait for the question to be put; whoever comes later gets what is asked after that."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return what was answered to a question that was put after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._put())
        return await asyncio.shield(self._next)

    async def _put(self) -> T:
        async with self._lock:
            self._next = None
            return await self._ask()
