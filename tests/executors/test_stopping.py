"""How the end that is asked of an execution reaches what it has begun elsewhere (runtime 19)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.executors import stopping
from app.executors.contract import StepError


class Elsewhere:
    """Something that is under way elsewhere and hears signals."""

    def __init__(self, *, heeds: tuple[str, ...] = ()) -> None:
        self.heard: list[str] = []
        self.begun, self.ended, self.was_told = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._heeds = heeds

    async def work(self) -> int:
        self.begun.set()
        await self.ended.wait()
        return 5

    async def send(self, name: str) -> None:
        self.heard.append(name)
        self.was_told.set()
        if name in self._heeds:
            self.ended.set()

    async def begin(self) -> asyncio.Task[int]:
        task = asyncio.create_task(stopping.carry_out(self.work(), self.send))
        await self.begun.wait()
        return task


async def test_work_gives_its_exit_code() -> None:
    elsewhere = Elsewhere()
    task = await elsewhere.begin()
    elsewhere.ended.set()
    assert (await task, elsewhere.heard) == (5, [])


async def test_work_raises_what_it_raises() -> None:
    async def fail() -> int:
        raise StepError("lost")

    with pytest.raises(StepError, match="lost"):
        await stopping.carry_out(fail(), Elsewhere().send)


async def test_a_signal_is_sent_on_and_the_work_runs_to_its_end() -> None:
    elsewhere = Elsewhere(heeds=("SIGINT",))
    task = await elsewhere.begin()
    task.cancel("SIGINT")
    assert (await task, elsewhere.heard) == (5, ["SIGINT"])


async def test_the_second_signal_kills_whatever_it_is() -> None:
    elsewhere = Elsewhere(heeds=("SIGKILL",))
    task = await elsewhere.begin()
    task.cancel("SIGTERM")
    await elsewhere.was_told.wait()
    task.cancel("SIGTERM")
    assert (await task, elsewhere.heard) == (5, ["SIGTERM", "SIGKILL"])


async def test_two_signals_at_once_are_not_one() -> None:
    elsewhere = Elsewhere(heeds=("SIGKILL",))
    task = await elsewhere.begin()
    task.cancel("SIGTERM")
    task.cancel("SIGKILL")
    assert (await task, elsewhere.heard) == (5, ["SIGKILL"])


async def test_what_does_not_even_heed_the_kill_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "_LAST_SECONDS", 0.01)
    elsewhere = Elsewhere()
    task = await elsewhere.begin()
    task.cancel("SIGKILL")
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert not stopping.is_detach(raised.value)


@pytest.mark.parametrize("let_go", [lambda task: task.cancel(stopping.DETACH), lambda task: task.cancel()])
async def test_a_server_that_lets_go_sends_nothing(let_go: Callable[[asyncio.Task[int]], None]) -> None:
    elsewhere = Elsewhere()
    task = await elsewhere.begin()
    let_go(task)
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert (stopping.is_detach(raised.value), elsewhere.heard) == (True, [])
