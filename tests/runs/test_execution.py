"""How a step's output is followed while it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dagbook.executors.contract import Outcome
from dagbook.runs.output.output_follower import (
    STDERR,
    STDOUT,
    Chunk,
    OutputFollower,
    StreamFollower,
    StreamOffset,
    StreamOptions,
)
from dagbook.runs.runner import execution
from dagbook.runs.secrets.masking import Masker
from tests.runs.chunks import shown
from tests.waiting import wait_until

LINE = b"x" * 99 + b"\n"
BULK = LINE * 10_000


class Running:
    """An execution that ends when it is told to."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def wait(self) -> Outcome:
        await self.end.wait()
        return Outcome(exit_code=0)

    def signal(self, name: str) -> None:
        """Hear nothing."""

    def kill(self) -> None:
        """Live on."""

    def detach(self) -> None:
        """Go on."""


class Store:
    """Where chunks are stored."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    async def __call__(self, chunks: list[Chunk]) -> None:
        self.chunks += chunks

    @property
    def size(self) -> int:
        return sum(chunk.byte_count for chunk in self.chunks)


@pytest.fixture
def stdout(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def follower(stdout: Path) -> OutputFollower:
    paths = {STDOUT: stdout, STDERR: stdout.with_name("err")}
    terms = StreamOptions(limit=10**9, masker=Masker())
    streams = [StreamFollower(number, path, StreamOffset(), None, terms) for number, path in paths.items()]
    return OutputFollower((streams[0], streams[1]))


async def test_output_is_stored_while_the_step_runs_and_the_rest_is_its_tail(
    stdout: Path, follower: OutputFollower
) -> None:
    running, store = Running(), Store()
    following = asyncio.create_task(execution.follow(running, follower, store))
    with stdout.open("ab", buffering=0) as file:
        for count in (1, 2, 3):
            file.write(BULK)

            async def stored(wanted: int = count * len(BULK)) -> bool:
                return store.size == wanted

            await wait_until(stored)
        file.write(LINE)
    running.end.set()
    ended = await following
    assert "".join(shown(chunk) for chunk in [*store.chunks, *ended.tail]).encode() == BULK * 3 + LINE
    assert ended.outcome == Outcome(exit_code=0)


@pytest.mark.parametrize(
    ("written", "pause", "following"),
    [
        (BULK, 0.1, 0.002),  # it may fill the disk before it is stored
        (LINE, 0.01, 0.02),
        (LINE, 0.08, 0.1),  # each look makes a row
        (b"", 0.08, 0.16),
        (b"", 0.2, 0.25),
        (b"no line yet", 0.2, 0.25),
    ],
)
async def test_the_more_comes_the_sooner_it_is_looked_at_again(
    stdout: Path, follower: OutputFollower, written: bytes, pause: float, following: float
) -> None:
    stdout.write_bytes(written)
    assert await execution.poll_output(follower, Store(), pause) == following


async def test_what_comes_in_bulk_is_cut_into_chunks_of_full_size(stdout: Path, follower: OutputFollower) -> None:
    store = Store()
    stdout.write_bytes(BULK)
    await execution.poll_output(follower, store, 0.01)
    assert all(chunk.byte_count > 200_000 for chunk in store.chunks)
