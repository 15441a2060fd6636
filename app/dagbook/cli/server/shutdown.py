"""SIGINT and SIGTERM of a server and a worker: an orderly stop, and the end of the process when that takes too long."""

from __future__ import annotations

import asyncio
import faulthandler
import signal
from collections.abc import Callable
from types import FrameType

# An orderly stop takes a few seconds. It may be held up by a thread that does not return, or by code that keeps the
# event loop from running: then the process ends by force, which is a crash like any other to the next one.
LIMIT_SECONDS = 18.0
_EXTEND_SECONDS = 1.0
_STDERR = 2


class StopSignals:
    """Calls ``stop`` in the event loop at the first signal, and ends the process by force 18 s later.

    While ``is_patient`` returns true, which the event loop asks, the time does not run: steps inside the process and
    mails have limits of their own.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self.is_patient: Callable[[], bool] = lambda: False
        self._is_limited = False
        self._extending: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Handle the signals from now to the end of the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
            # The loop's own handler runs between two of its callbacks. This one also interrupts a callback.
            signal.signal(number, self._limited(signal.getsignal(number)))
            signal.siginterrupt(number, False)

    def _limited(self, handle: object) -> Callable[[int, FrameType | None], None]:
        def on_signal(number: int, frame: FrameType | None) -> None:
            if not self._is_limited:
                self._is_limited = True
                _limit()
            if callable(handle):
                handle(number, frame)

        return on_signal

    def _on_signal(self) -> None:
        if self._extending is None:
            self._extending = asyncio.create_task(self._extend(), name="time limit of the stop")
        self._stop()

    async def _extend(self) -> None:
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            if self.is_patient():
                _limit()


def _limit() -> None:
    # A thread of C, which needs no lock of the interpreter, writes where each thread is and ends the process.
    faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True, file=_STDERR)
