"""The one base of loops that repeat work in the background: start, pause, run, log errors, back off, stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress


class BackgroundLoop:
    """Repeats ``work`` until it is stopped, with a pause before each round; ``wake`` cuts the pause short.

    An error ends its round, not the loop: those of the ``expected`` types are logged as one line that begins with
    ``failure``, others with their traceback. ``back_off_seconds`` is the least time to the next round after an error. A
    function as ``every_seconds`` is asked before each pause.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        every_seconds: float | Callable[[], float],
        failure: str,
        expected: tuple[type[Exception], ...] = (),
        back_off_seconds: float = 0.0,
    ) -> None:
        self._name = name
        self._work = work
        self._every = every_seconds
        self._failure = failure
        self._expected = expected
        self._back_off = back_off_seconds
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
            self._task = asyncio.create_task(self._run(first_seconds), name=self._name)

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

    async def run_once(self) -> bool:
        """Run the work and log its errors; returns whether there was none."""
        try:
            await self._work()
        except self._expected as error:
            self._log.warning("%s: %s", self._failure, error)
            return False
        except Exception:  # noqa: BLE001 - an error must not stop the loop
            self._log.exception("%s", self._failure)
            return False
        return True

    async def _run(self, pause: float | None) -> None:
        while not self.is_stopping:
            if pause is None:
                pause = self._every() if callable(self._every) else self._every
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            pause = None
            self._woken.clear()
            # What woke the loop must not repeat a failed round at once: in an outage each change would.
            if not self.is_stopping and not await self.run_once():
                await asyncio.sleep(self._back_off)
