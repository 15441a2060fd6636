"""Stops of the steps whose executors run in this process: a cancellation is sent on as a signal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from dagbook.executors.contract import StepError

KILL = "SIGKILL"
DETACH = "detach"  # the server ends, the remote command continues; also meant by a cancellation without a message
_LAST_SECONDS = 5.0  # time for the remote command to end after SIGKILL
Send = Callable[[str], Coroutine[None, None, None]]


def is_stopped() -> bool:
    """Whether this task was cancelled before: then it begins no further command line."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def line_result(number: int, of: int, code: int) -> int:
    """Return the exit code of a command line, 0 if the next one may begin. Raises StepError with its number."""
    if code and of > 1:
        raise StepError(f"line {number}: exit status {code}", code)
    return code


def is_detach(cancellation: asyncio.CancelledError) -> bool:
    """Whether the server detaches from the execution, as opposed to a stop of the step."""
    return _name(cancellation) == DETACH


async def run_cancellable(work: Coroutine[object, None, int], send: Send) -> int:
    """Await work and return its exit code; a cancellation is sent as a signal and the work runs to its end.

    ``send`` sends a signal by its POSIX name and raises nothing. The second cancellation sends SIGKILL, after which
    the work has a few seconds to end. Raises the errors of the work, and CancelledError when it has not ended by then
    or the server detaches.
    """
    task = asyncio.create_task(work)
    try:
        return await _until_ended(task, send)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _until_ended(task: asyncio.Task[int], send: Send) -> int:
    name = await _signal_or_end(task)
    if name not in ("", KILL):
        sending = asyncio.create_task(send(name))
        name = KILL if await _signal_or_end(task) else ""
        sending.cancel()
    if name != KILL:
        return task.result()
    killing = asyncio.create_task(send(KILL))
    await asyncio.wait({task}, timeout=_LAST_SECONDS)
    killing.cancel()
    if not task.done() or task.exception() is not None:
        raise asyncio.CancelledError(KILL)
    return task.result()


async def _signal_or_end(task: asyncio.Task[int]) -> str:
    """Wait for the next signal and return its name; empty when the work has ended."""
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError as cancellation:
        if is_detach(cancellation):
            raise
        task_itself = asyncio.current_task()
        # Two cancellations before the task runs again are one exception, with the message of the first.
        twice = task_itself is not None and task_itself.cancelling() > 1
        return KILL if twice else _name(cancellation)
    return ""


def _name(cancellation: asyncio.CancelledError) -> str:
    return str(cancellation.args[0]) if cancellation.args else DETACH
