"""One question for all who want to know the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Asks once for all who wait for the question to be put; whoever comes later gets what is asked after that."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._coming: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return what was answered to a question that was put after this call."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._put())
        return await asyncio.shield(self._coming)

    async def _put(self) -> T:
        async with self._turn:
            self._coming = None
            return await self._ask()
