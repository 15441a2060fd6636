"""The thread that works for a loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from threading import Event, current_thread

import pytest

from app.db.thread import WorkThread

BOUND_SECONDS = 10


def nothing() -> None:
    """Be told of what was done, and do nothing about it."""


@pytest.fixture
async def thread() -> AsyncIterator[WorkThread]:
    thread = WorkThread("works")
    yield thread
    await thread.close()


async def test_work_is_done_in_the_thread_and_what_follows_in_the_loop(thread: WorkThread) -> None:
    followed: list[str] = []
    assert await thread.run(lambda: current_thread().name, lambda: followed.append(current_thread().name)) == "works"
    assert followed == [current_thread().name]


async def test_work_is_done_in_the_order_in_which_it_was_given(thread: WorkThread) -> None:
    done: list[int] = []
    await asyncio.gather(*(thread.run(partial(done.append, number), nothing) for number in range(50)))
    assert done == list(range(50))


async def test_an_error_of_the_work_is_met_by_who_waits_and_nothing_follows(thread: WorkThread) -> None:
    def fail() -> None:
        raise LookupError("of its own making")

    followed: list[str] = []
    with pytest.raises(LookupError, match="of its own making"):
        await thread.run(fail, lambda: followed.append("wrongly"))
    assert await thread.run(lambda: "goes on", nothing) == "goes on"
    assert not followed


async def test_what_follows_is_done_when_nobody_waits_any_more(thread: WorkThread) -> None:
    go, followed = Event(), asyncio.Event()
    waits = thread.run(lambda: go.wait(BOUND_SECONDS), followed.set)
    waits.cancel()
    go.set()
    async with asyncio.timeout(BOUND_SECONDS):
        await followed.wait()


async def test_closing_does_what_was_asked_for_before() -> None:
    thread = WorkThread("closes")
    done: list[int] = []
    for number in range(20):
        thread.run(partial(done.append, number), nothing)
    await thread.close()
    assert done == list(range(20))
    await thread.close()


async def test_a_closed_thread_says_that_it_does_nothing_any_more() -> None:
    thread = WorkThread("closed")
    await thread.close()
    with pytest.raises(RuntimeError, match="closed"):
        thread.run(nothing, nothing)


async def test_a_loop_that_has_ended_does_not_end_the_thread(thread: WorkThread) -> None:
    go = Event()

    async def leave() -> None:
        thread.run(lambda: go.wait(BOUND_SECONDS), nothing)

    await asyncio.to_thread(asyncio.run, leave())
    go.set()
    assert await thread.run(lambda: "goes on", nothing) == "goes on"
