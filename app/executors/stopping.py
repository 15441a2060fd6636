"""How the end that is asked of an execution inside the server reaches what it has begun elsewhere (runtime 19)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

KILL = "SIGKILL"
DETACH = "detach"  # the server ends and what was begun elsewhere goes on; a cancellation without a message is the same
_LAST_SECONDS = 5.0  # how long what was killed has to be gone

Send = Callable[[str], Coroutine[Any, Any, None]]


def is_detach(cancellation: asyncio.CancelledError) -> bool:
    """Tell a server that lets go from a step that is to end."""
    return _name(cancellation) == DETACH


async def carry_out(work: Coroutine[Any, Any, int], send: Send) -> int:
    """Carry out work and return its exit code; a cancellation goes on as a signal and the work runs to its end.

    ``send`` delivers a signal by its POSIX name and raises nothing. The second cancellation sends SIGKILL, after
    which the work has a few seconds to end. Raises what the work raises, and CancelledError when there is nothing
    more to tell.
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
    """Wait for the next signal; an empty name tells that the work has ended."""
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError as cancellation:
        if is_detach(cancellation):
            raise
        task_itself = asyncio.current_task()
        # Two cancellations between two looks are one exception, with the message of the first.
        twice = task_itself is not None and task_itself.cancelling() > 1
        return KILL if twice else _name(cancellation)
    return ""


def _name(cancellation: asyncio.CancelledError) -> str:
    return str(cancellation.args[0]) if cancellation.args else DETACH
