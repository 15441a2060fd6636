"""Small commands whose output is wanted at once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dagbook.executors.capture import MOST_OUTPUT, Captured, CaptureError, capture
from tests.waiting import until_gone, until_written

ENV = {"PATH": os.environ["PATH"], "WORD": "said"}


async def _sh(text: str, cwd: Path, limit: float | None = None) -> Captured:
    return await capture(["/bin/sh", "-c", text], env=ENV, cwd=cwd, limit_seconds=limit)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo $WORD; echo err >&2", Captured(0, "said\n")),
        ("printf 'a\\377'; exit 3", Captured(3, "a\N{REPLACEMENT CHARACTER}")),
        ("kill -KILL $$", Captured(-9, "")),
        ("cat", Captured(0, "")),
        ("[ $HOME ] || echo none", Captured(0, "none\n")),
    ],
)
async def test_output_and_exit_code_are_read(tmp_path: Path, text: str, expected: Captured) -> None:
    assert await _sh(text, tmp_path) == expected


async def test_large_output_does_not_block_the_command(tmp_path: Path) -> None:
    assert len((await _sh("head -c 3000000 /dev/zero", tmp_path, 10)).stdout) == 3_000_000


async def test_a_command_over_its_time_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"0\.2 seconds"):
        await _sh("sleep 30 & echo $! > child; wait", tmp_path, 0.2)
    await until_gone(int((tmp_path / "child").read_text()))


async def test_a_cancelled_caller_leaves_no_process(tmp_path: Path) -> None:
    task = asyncio.create_task(_sh("echo $$ > own; sleep 30", tmp_path))
    await until_written(tmp_path / "own")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_gone(int((tmp_path / "own").read_text()))


@pytest.mark.parametrize(("program", "folder"), [("/no/such/program", "."), ("/bin/sh", "/no/such/folder")])
async def test_what_cannot_be_started_is_said(program: str, folder: str) -> None:
    with pytest.raises(CaptureError, match="could not be started"):
        await capture([program, "-c", "true"], env=ENV, cwd=Path(folder), limit_seconds=1)


async def test_of_what_a_command_prints_a_bounded_part_is_kept(tmp_path: Path) -> None:
    captured = await _sh(f"head -c {MOST_OUTPUT + 1} /dev/zero | tr '\\0' a", tmp_path)
    assert (captured.exit_code, len(captured.stdout), captured.is_cut) == (0, MOST_OUTPUT, True)
