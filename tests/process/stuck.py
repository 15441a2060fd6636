"""A server in which something never returns, as no text of a definition can be relied on to make it.

python -m tests.process.stuck WHAT SECONDS serve: WHAT is one of ``STUCK``, SECONDS the time limit of an orderly stop.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from dagbook.cli import cli
from dagbook.cli.server import shutdown
from dagbook.runs.recovery.orphans import OrphanSweeper
from dagbook.runs.runner import condition_checks


def _hold_loop(*_: Any) -> Any:
    """Keep the event loop busy: it handles neither requests nor signals."""
    while True:
        time.sleep(0.01)


async def _hold_thread(*_: Any) -> Any:
    await asyncio.to_thread(threading.Event().wait)


async def _hold_task(*_: Any) -> Any:
    await asyncio.Event().wait()


def _replace_conditions(held: Callable[..., Any]) -> None:
    setattr(condition_checks, "check", held)  # noqa: B010 - mypy knows its type


STUCK: dict[str, Callable[[], None]] = {
    "loop": lambda: _replace_conditions(_hold_loop),
    "thread": lambda: _replace_conditions(_hold_thread),
    "take-over": lambda: setattr(OrphanSweeper, "adopt", _hold_task),
}


if __name__ == "__main__":
    STUCK[sys.argv[1]]()
    shutdown.LIMIT_SECONDS = float(sys.argv[2])
    sys.argv[1:3] = []
    cli()
