"""Client of the subprocess for untrusted regular expressions (``dagbook.regex.worker``)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from dagbook.errors import UnavailableError
from dagbook.regex import worker as regex_worker
from dagbook.regex.worker import Span
from dagbook.spec.expansion.scope import filter_environment

_CPU_LIMIT_SECONDS = 0.7  # CPU time of each request
_TIMEOUT_SECONDS = 10.0  # wall clock, for a busy machine
_MAX_RESPONSE_BYTES = 64 * 1024 * 1024


class ExpressionError(Exception):
    """An invalid expression, or one that takes too long."""


class RegexWorker:
    """Subprocess that handles one search request at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def find(
        self, texts: Sequence[str], *, words: str = "", expression: str = "", most: int = sys.maxsize
    ) -> list[list[Span]]:
        """Return, for each text, at most ``most`` lines with these words, or that match; raises ExpressionError."""
        request = {
            "texts": texts,
            "words": words,
            "expression": expression,
            "most": most,
            "seconds": _CPU_LIMIT_SECONDS,
        }
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                response = await self._send(request)
        except TimeoutError:
            response = b""
            self._process.kill()
        if not response:
            await self._raise_failure()
        found: dict[str, Any] = msgspec.json.decode(response)
        if "problem" in found:
            raise ExpressionError(f"is no regular expression: {found['problem']}")
        spans: list[list[Span]] = found["spans"]
        return spans

    async def _send(self, request: dict[str, Any]) -> bytes:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            await self._process.stdin.drain()
        except ConnectionError:
            return b""
        return await self._process.stdout.readline()

    async def _raise_failure(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        stderr = await self._process.stderr.read()
        code = await self._process.wait()
        if code in (-signal.SIGPROF, -signal.SIGKILL):
            raise ExpressionError("this expression takes too long; write it without nested repetitions")
        raise UnavailableError(f"the search ended with exit code {code}: {stderr.decode(errors='replace')[-200:]}")


@asynccontextmanager
async def open_regex_worker() -> AsyncIterator[RegexWorker]:
    """Start a worker, and kill it on leaving."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-W", "ignore", regex_worker.__file__),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=filter_environment(os.environ),  # without the secrets of the server
        limit=_MAX_RESPONSE_BYTES,
    )
    try:
        yield RegexWorker(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
