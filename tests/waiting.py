"""Waiting for what another process or task brings about, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from dagbook.unix import proc

T = TypeVar("T")
PATIENCE_SECONDS = 90.0  # a condition comes true much sooner; the rest is for machines with other work to do


async def wait_until(look: Callable[[], Awaitable[T | None]], every_seconds: float = 0.01) -> T:
    """Look again and again until there is something to see."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(every_seconds)


async def until_written(path: Path | str, text: str = "\n") -> str:
    """Wait until a file holds a text, and return all that it holds."""

    async def look() -> str | None:
        try:
            held = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return held if text in held else None

    return await wait_until(look, every_seconds=0.002)


async def until_gone(pid: int) -> None:
    """Wait until a process that was killed is dead, which the kernel sees to a little later."""

    async def look() -> bool:
        return proc.identify(pid) is None

    await wait_until(look, every_seconds=0.002)
