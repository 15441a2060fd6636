"""One question for all who want to know the same at the same time."""

from __future__ import annotations

import asyncio

import pytest

from dagbook.db.single_flight import SingleFlight


class Oracle:
    """Answers with the number of the question, once it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may = asyncio.Event()
        self.begun = asyncio.Event()

    async def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        self.begun.set()
        await self.may.wait()
        if number == 13:
            raise LookupError
        return number


async def test_all_who_ask_before_the_question_is_put_get_one_answer() -> None:
    oracle = Oracle()
    oracle.may.set()
    shared = SingleFlight(oracle)
    assert await asyncio.gather(*(shared.get() for _ in range(5))) == [1] * 5


async def test_who_asks_later_gets_the_answer_to_a_later_question() -> None:
    oracle = Oracle()
    shared = SingleFlight(oracle)
    first = asyncio.create_task(shared.get())
    await oracle.begun.wait()
    later = [asyncio.create_task(shared.get()) for _ in range(3)]
    await asyncio.sleep(0)
    oracle.may.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 3


async def test_who_stops_waiting_takes_the_answer_from_nobody() -> None:
    oracle = Oracle()
    shared = SingleFlight(oracle)
    waiting = [asyncio.create_task(shared.get()) for _ in range(2)]
    await oracle.begun.wait()
    waiting[0].cancel()
    oracle.may.set()
    assert await waiting[1] == 1


async def test_a_failure_is_told_to_all_who_asked_and_to_nobody_else() -> None:
    oracle = Oracle()
    oracle.may.set()
    oracle.asked = 12
    shared = SingleFlight(oracle)
    failed = await asyncio.gather(*(shared.get() for _ in range(2)), return_exceptions=True)
    assert [type(one) for one in failed] == [LookupError] * 2
    assert await shared.get() == 14


async def test_one_whom_nobody_waits_for_fails_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    oracle = Oracle()
    oracle.asked = 12
    shared = SingleFlight(oracle)
    waiting = asyncio.create_task(shared.get())
    await oracle.begun.wait()
    waiting.cancel()
    oracle.may.set()
    assert await shared.get() == 14
    assert not recwarn.list
