"""Shims of steps, found among all processes of the machine."""

from __future__ import annotations

from pathlib import Path

from tests.waiting import wait_until


async def shim_of(step: str) -> int:
    """Wait for the process that will run a step, and give its number."""

    async def look() -> int | None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word.endswith(f"-{step}.1.started".encode()) for word in words):
                return int(path.parent.name)
        return None

    return await wait_until(look)
