"""jq programs in texts, such as ``${NAME.items | length}``: each runs in a process with limits (DAG format 5.7)."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from weakref import WeakKeyDictionary

import msgspec

from dagbook.executors.jq import query_program
from dagbook.executors.jq.limits import QUERY
from dagbook.spec.problem import ExpansionError, quoted

_MODULE = "dagbook.executors.jq.query_program"
_QUICK_SECONDS = 0.5
_CONCURRENT = 4  # processes of one server, each of which may use a core and QUERY.memory
_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class Budget(msgspec.Struct):
    """Seconds that slow texts of one run, and slow jq programs in them, may still take; quick ones do not count."""

    seconds: float = 20.0

    def require(self) -> None:
        """Raise ExpansionError when the budget is used up."""
        if self.seconds <= 0:
            raise ExpansionError("the texts of this run take too long to evaluate")

    def spend(self, started: float) -> None:
        """Count the time since ``started`` on the monotonic clock."""
        self.seconds -= max(time.monotonic() - started - _QUICK_SECONDS, 0.0)


async def query(text: str, program: str, budget: Budget | None = None) -> str | None:
    """Return the first result of a jq program over a JSON text, as text.

    None if the text is no JSON, or the program is invalid, fails or yields nothing. Raises ExpansionError for a program
    that reaches a limit of ``QUERY``, and when the budget is used up.
    """
    budget = budget or Budget()
    budget.require()
    try:
        async with _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_CONCURRENT)):
            started = time.monotonic()
            try:
                code, result = await _run(query_program.pack(text, program))
            finally:
                budget.spend(started)
    except TimeoutError:
        reason = QUERY.too_slow
    except OSError as error:
        reason = f"could not be started: {error}"
    else:
        if code == query_program.EXIT_RESULT:
            return result.decode()
        if code == query_program.EXIT_NO_RESULT:
            return None
        reason = _reason(code)
    raise ExpansionError(f"the jq program {quoted(program)} {reason}")


def _reason(code: int) -> str:
    match code:
        case query_program.EXIT_TOO_LONG:
            return f"has a result of more than {query_program.MAX_CHARACTERS} characters"
        case query_program.EXIT_NO_MEMORY:
            return QUERY.too_large
        case _:
            return QUERY.reason(code) or f"could not be run: its process ended with exit code {code}"


async def _run(data: bytes) -> tuple[int, bytes]:
    """Run the subprocess; returns its exit code and what it has printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-X", "utf8", "-m", _MODULE),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={"TZ": os.environ["TZ"]} if "TZ" in os.environ else {},  # jq has functions of local time
    )
    try:
        async with asyncio.timeout(QUERY.seconds):
            result, _ = await process.communicate(data)
            return await process.wait(), result
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
