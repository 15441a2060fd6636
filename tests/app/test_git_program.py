"""How the program git is run."""

from __future__ import annotations

import asyncio

import uvloop

from dagbook.sources.git import _communicate
from tests.waiting import come_true


async def _talk_to_a_program_that_has_ended() -> tuple[bytes, bytes]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("echo", "one", stdin=pipe, stdout=pipe, stderr=pipe)
    stdin = process.stdin
    assert stdin is not None

    async def is_closed() -> bool:
        return stdin.is_closing()

    await come_true(is_closed)
    return await _communicate(process, b"ids of files")


def test_a_program_that_has_ended_before_it_is_written_to_gives_its_output() -> None:
    """The server runs on uvloop, which has closed the pipe by then."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_talk_to_a_program_that_has_ended()) == (b"one\n", b"")
