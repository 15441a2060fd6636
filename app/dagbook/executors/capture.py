"""A command that runs to its end, and its output as text."""

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
from dagbook.unix import unix_accounts
from dagbook.unix.unix_accounts import AccountError

MOST_OUTPUT = 16 * 1024 * 1024  # bytes that are kept of what a command prints
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Captured(msgspec.Struct, frozen=True):
    """Exit code and output of a command; a negative exit code is the signal that killed it."""

    exit_code: int
    stdout: str
    is_cut: bool = False  # it printed more than is kept


class CaptureError(Exception):
    """The command could not be started, or took too long."""


async def capture(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    limit_seconds: float | None,
    encoding: str = "utf-8",
    account: str = "",
) -> Captured:
    """Run a command in a new session, as an account or as the server, and return its stdout. Raises CaptureError.

    The whole session is killed when the time limit has passed or the caller is cancelled.
    """
    with tempfile.TemporaryFile() as output:
        try:
            with unix_accounts.launch(argv, str(cwd), env, account) as launch:
                # 0.7 ms; running what the definition says is the product.
                popen = subprocess.Popen(  # noqa: S603, ASYNC220
                    launch.argv,
                    env=launch.env,
                    cwd=launch.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.DEVNULL,
                    pass_fds=launch.descriptors,
                    start_new_session=True,
                )
        except (OSError, AccountError) as error:
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
        data = output.read(MOST_OUTPUT + 1)
        return Captured(popen.returncode, read_text(data[:MOST_OUTPUT], encoding), len(data) > MOST_OUTPUT)


def read_text(data: bytes, encoding: str = "utf-8") -> str:
    """Decode output; replaces invalid bytes, and NUL, which neither PostgreSQL nor process arguments allow."""
    return data.decode(encoding, "replace").replace("\0", REPLACEMENT)
