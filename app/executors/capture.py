"""Small commands whose output is wanted at once: conditions and backticks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from app.executors.output import read_text
from app.executors.process import wait_for_exit


class Captured(msgspec.Struct, frozen=True):
    """How a small command ended; a negative exit code is the signal that ended it."""

    exit_code: int
    stdout: str


class CaptureError(Exception):
    """The command could not be started, or took too long."""


async def capture(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, limit_seconds: float | None, encoding: str = "utf-8"
) -> Captured:
    """Run a command in a session of its own and read its stdout; raises CaptureError.

    Everything in the session is killed when the time is over or the caller is cancelled.
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
            _end(popen)
        output.seek(0)
        return Captured(popen.returncode, read_text(output.read(), encoding))


def _end(popen: subprocess.Popen[bytes]) -> None:
    """Reap the command; if it still runs, its whole group goes first."""
    if popen.poll() is None:
        os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
