"""Runs short commands and returns their output: for conditions and backticks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from dagbook.executors.process.process import wait_for_exit


class Captured(msgspec.Struct, frozen=True):
    """Exit code and output of a command; a negative exit code is the signal that killed it."""

    exit_code: int
    stdout: str


class CaptureError(Exception):
    """The command could not be started, or took too long."""


async def capture(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, limit_seconds: float | None, encoding: str = "utf-8"
) -> Captured:
    """Run a command in a new session and return its stdout. Raises CaptureError.

    The whole session is killed when the time limit has passed or the caller is cancelled.
    """
    with tempfile.TemporaryFile() as output:
        try:
            popen = subprocess.Popen(  # noqa: S603, ASYNC220 - 0.7 ms; running what the definition says is the product
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise CaptureError(f"could not be started: {error}") from error
        try:
            async with asyncio.timeout(limit_seconds):
                await wait_for_exit(popen.pid)
        except TimeoutError:
            raise CaptureError(f"took longer than {limit_seconds:g} seconds") from None
        finally:
            if popen.poll() is None:
                os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()
        output.seek(0)
        return Captured(popen.returncode, read_text(output.read(), encoding))


REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def read_text(data: bytes, encoding: str = "utf-8") -> str:
    """Decode output; replaces invalid bytes, and NUL, which neither PostgreSQL nor process arguments allow."""
    return data.decode(encoding, "replace").replace("\0", REPLACEMENT)
