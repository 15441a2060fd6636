"""One call for several callers that ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Makes one call for all callers that wait for it to start; a later caller gets the result of the next call."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return the result of a call that starts after this one."""
        if self._next is None:
            self._next = asyncio.create_task(self._start_call())
        return await asyncio.shield(self._next)

    async def _start_call(self) -> T:
        async with self._lock:
            self._next = None
            return await self._call()
