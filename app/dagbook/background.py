"""The one base of loops that repeat work in the background: start, pause, run, log errors, stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress


class BackgroundLoop:
    """Repeats ``work`` until it is stopped, with a pause before each round; ``wake`` cuts the pause short.

    An error ends its round, not the loop: those of the ``expected`` types are logged as one line that begins with
    ``failure``, others with their traceback.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        every_seconds: float,
        failure: str,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self._name = name
        self._work = work
        self._every = every_seconds
        self._failure = failure
        self._expected = expected
        self._log = logging.getLogger(getattr(work, "__module__", __name__))
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.is_stopping = False

    @property
    def is_started(self) -> bool:
        return self._task is not None

    def start(self, first_seconds: float | None = None) -> None:
        """Start with a pause of ``first_seconds``, else the usual one; starting twice is harmless."""
        if self._task is None:
            self.is_stopping = False
            self._woken.clear()
            pause = self._every if first_seconds is None else first_seconds
            self._task = asyncio.create_task(self._run(pause), name=self._name)

    def wake(self) -> None:
        """Start the next round now."""
        self._woken.set()

    async def stop(self) -> bool:
        """Stop after the active round; returns whether it was started."""
        if self._task is None:
            return False
        self.is_stopping = True
        self._woken.set()
        await self._task
        self._task = None
        return True

    async def run_once(self) -> None:
        """Run the work and log its errors."""
        try:
            await self._work()
        except self._expected as error:
            self._log.warning("%s: %s", self._failure, error)
        except Exception:  # noqa: BLE001 - an error must not stop the loop
            self._log.exception("%s", self._failure)

    async def _run(self, pause: float) -> None:
        while not self.is_stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            self._woken.clear()
            if not self.is_stopping:
                await self.run_once()
            pause = self._every
