"""How the cancellation of an execution reaches its remote command (runtime 19)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dagbook.executors import cancellation
from dagbook.executors.contract import StepError


class RemoteCommand:
    """A remote command that gets signals."""

    def __init__(self, *, obeys: tuple[str, ...] = ()) -> None:
        self.signals: list[str] = []
        self.started, self.ended, self.was_signalled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._heeds = obeys

    async def work(self) -> int:
        self.started.set()
        await self.ended.wait()
        return 5

    async def send(self, name: str) -> None:
        self.signals.append(name)
        self.was_signalled.set()
        if name in self._heeds:
            self.ended.set()

    async def begin(self) -> asyncio.Task[int]:
        task = asyncio.create_task(cancellation.run_cancellable(self.work(), self.send))
        await self.started.wait()
        return task


async def test_work_gives_its_exit_code() -> None:
    command = RemoteCommand()
    task = await command.begin()
    command.ended.set()
    assert (await task, command.signals) == (5, [])


async def test_work_raises_what_it_raises() -> None:
    async def fail() -> int:
        raise StepError("lost")

    with pytest.raises(StepError, match="lost"):
        await cancellation.run_cancellable(fail(), RemoteCommand().send)


async def test_a_signal_is_sent_on_and_the_work_runs_to_its_end() -> None:
    command = RemoteCommand(obeys=("SIGINT",))
    task = await command.begin()
    task.cancel("SIGINT")
    assert (await task, command.signals) == (5, ["SIGINT"])


async def test_the_second_signal_kills_whatever_it_is() -> None:
    command = RemoteCommand(obeys=("SIGKILL",))
    task = await command.begin()
    task.cancel("SIGTERM")
    await command.was_signalled.wait()
    task.cancel("SIGTERM")
    assert (await task, command.signals) == (5, ["SIGTERM", "SIGKILL"])


async def test_two_signals_at_once_are_not_one() -> None:
    command = RemoteCommand(obeys=("SIGKILL",))
    task = await command.begin()
    task.cancel("SIGTERM")
    task.cancel("SIGKILL")
    assert (await task, command.signals) == (5, ["SIGKILL"])


async def test_work_that_ignores_the_kill_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "_LAST_SECONDS", 0.01)
    command = RemoteCommand()
    task = await command.begin()
    task.cancel("SIGKILL")
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert not cancellation.is_detach(raised.value)


@pytest.mark.parametrize("detach", [lambda task: task.cancel(cancellation.DETACH), lambda task: task.cancel()])
async def test_a_detach_sends_nothing(detach: Callable[[asyncio.Task[int]], None]) -> None:
    command = RemoteCommand()
    task = await command.begin()
    detach(task)
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert (cancellation.is_detach(raised.value), command.signals) == (True, [])
