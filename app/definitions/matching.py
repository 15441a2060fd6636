"""Looking for expressions of strangers in texts, in a process of its own: see ``app.definitions.grep``."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from app.definitions import grep
from app.definitions.grep import Span
from app.errors import UnavailableError

_LIMIT_SECONDS = 0.7  # of computing, for each question
_PATIENCE_SECONDS = 10.0  # of waiting for a machine that is busy with other things
_LONGEST_ANSWER = 64 * 1024 * 1024


class ExpressionError(Exception):
    """What is looked for is no expression, or one that takes too long."""


class Matcher:
    """A process that looks for expressions, one question after the other."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def find(
        self, texts: Sequence[str], *, words: str = "", expression: str = "", most: int = sys.maxsize
    ) -> list[list[Span]]:
        """Find, in each text, at most so many lines with these words, or that match; raises ExpressionError."""
        request = {"texts": texts, "words": words, "expression": expression, "most": most, "seconds": _LIMIT_SECONDS}
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await self._ask(request)
        except TimeoutError:
            answer = b""
            self._process.kill()
        if not answer:
            await self._explain()
        found: dict[str, Any] = msgspec.json.decode(answer)
        if "problem" in found:
            raise ExpressionError(f"is no regular expression: {found['problem']}")
        spans: list[list[Span]] = found["spans"]
        return spans

    async def _ask(self, request: dict[str, Any]) -> bytes:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            await self._process.stdin.drain()
        except ConnectionError:
            return b""
        return await self._process.stdout.readline()

    async def _explain(self) -> None:
        """Say why there is no answer."""
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        trouble = await self._process.stderr.read()
        code = await self._process.wait()
        if code in (-signal.SIGPROF, -signal.SIGKILL):
            raise ExpressionError("this expression takes too long; write it without repetitions inside repetitions")
        raise UnavailableError(f"the search ended with {code}: {trouble.decode(errors='replace')[-200:]}")


@asynccontextmanager
async def matching() -> AsyncIterator[Matcher]:
    """Start such a process, and end it on leaving."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-W", "ignore", grep.__file__),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=_LONGEST_ANSWER,
    )
    try:
        yield Matcher(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
