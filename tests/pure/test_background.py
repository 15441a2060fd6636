"""Loops that repeat work in the background."""

from __future__ import annotations

import asyncio
import time

import pytest

from dagbook.background import BackgroundLoop
from tests.waiting import wait_until

LONG = 600.0


class Work:
    def __init__(self, error: Exception | None = None) -> None:
        self.rounds = 0
        self.error = error

    async def __call__(self) -> None:
        self.rounds += 1
        if self.error is not None:
            raise self.error


async def rounds_of(work: Work, number: int) -> None:
    async def reached() -> bool | None:
        return work.rounds >= number or None

    await wait_until(reached)


def loop_of(work: Work, every_seconds: float = LONG) -> BackgroundLoop:
    return BackgroundLoop("test", work, every_seconds=every_seconds, failure="it failed", expected=(ValueError,))


async def test_a_round_starts_after_the_first_pause_and_when_the_loop_is_woken() -> None:
    work = Work()
    loop = loop_of(work)
    loop.start(0.0)
    await rounds_of(work, 1)
    loop.wake()
    await rounds_of(work, 2)
    assert await loop.stop()


async def test_a_stop_waits_for_the_active_round_and_starts_no_other() -> None:
    started, go_on, rounds = asyncio.Event(), asyncio.Event(), 0

    async def work() -> None:
        nonlocal rounds
        started.set()
        await go_on.wait()
        rounds += 1

    loop = BackgroundLoop("test", work, every_seconds=0.0, failure="it failed")
    loop.start()
    await started.wait()
    stopped = asyncio.create_task(loop.stop())
    await asyncio.sleep(0)
    assert not stopped.done()
    go_on.set()
    assert await stopped
    assert (rounds, loop.is_started) == (1, False)


@pytest.mark.parametrize(("error", "traceback"), [(ValueError("no"), False), (KeyError("no"), True)])
async def test_an_error_is_logged_and_ends_its_round_only(
    error: Exception, traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(error)
    loop = loop_of(work, every_seconds=0.0)
    loop.start()
    await rounds_of(work, 2)
    await loop.stop()
    assert "it failed" in caplog.text
    assert ("Traceback" in caplog.text) is traceback


async def test_a_stop_without_a_start_is_harmless() -> None:
    assert not await loop_of(Work()).stop()


async def test_a_failed_round_is_not_repeated_at_once_when_the_loop_is_woken() -> None:
    work = Work(ValueError("no"))
    loop = BackgroundLoop("test", work, every_seconds=LONG, failure="it failed", back_off_seconds=0.2)
    loop.start(0.0)
    await rounds_of(work, 1)
    loop.wake()
    failed_at = time.monotonic()
    await rounds_of(work, 2)
    assert time.monotonic() - failed_at > 0.1
    await loop.stop()


async def test_the_pause_may_depend_on_the_last_round() -> None:
    work = Work()
    loop = BackgroundLoop("test", work, every_seconds=lambda: 0.0 if work.rounds < 3 else LONG, failure="it failed")
    loop.start(0.0)
    await rounds_of(work, 3)
    await loop.stop()
    assert work.rounds == 3
