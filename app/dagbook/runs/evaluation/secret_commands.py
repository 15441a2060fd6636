"""Execution of the commands that print secrets (setting ``secret_commands``).

Each is run by the server's account, without a shell, and all that it started is killed when it ends or takes too long.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress

from dagbook.executors.capture import read_text
from dagbook.runs.secrets.masking import Masker
from dagbook.settings.secret_commands import SecretCommand

MAX_BYTES = 64 * 1024
LIMIT_SECONDS = 10.0
MOST_ASKED = 8  # at a time of one kind, for all runs of this process
_INHERITED = ("PATH", "HOME", "LANG")
_PIECE = 8 * 1024
_CLOSING_SECONDS = 1.0
_MAX_MESSAGE = 500  # characters of what it says on stderr


class SecretError(Exception):
    """A secret cannot be resolved; the message gives the reason and never contains the value."""


async def read_from_command(command: SecretCommand, key: str, environ: Mapping[str, str]) -> bytes:
    """Return what the command prints for a key, without one final line feed; raises SecretError."""
    if refusal := command.refusal_of_key(key):
        raise SecretError(f"the key {refusal}")
    env = {name: environ[name] for name in _INHERITED if name in environ} | dict(command.env)
    try:
        process = await asyncio.create_subprocess_exec(
            *command.arguments(key),
            cwd="/",
            env=env,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise SecretError(f"the command of {command.name!r} cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            value, errors = await _communicate(process)
            if len(value) > MAX_BYTES + 1:
                raise SecretError(f"the command of {command.name!r} printed more than {MAX_BYTES // 1024} KiB")
            await process.wait()
    except TimeoutError:
        raise SecretError(f"the command of {command.name!r} took longer than {LIMIT_SECONDS:g} seconds") from None
    finally:
        await _end(process)
    if process.returncode:
        said = Masker((*command.env.values(), read_text(value))).mask(read_text(errors))
        raise SecretError(
            f"the command of {command.name!r} ended with exit status {process.returncode}: "
            + (" ".join(said.split())[:_MAX_MESSAGE] or "it says nothing on stderr")
        )
    return value.removesuffix(b"\n")


async def _communicate(process: Process) -> tuple[bytes, bytes]:
    """Return what is printed on stdout, or a little more than a secret may have, and the beginning of stderr."""
    assert process.stdout is not None  # noqa: S101 - both are pipes
    assert process.stderr is not None  # noqa: S101
    value, errors = bytearray(), bytearray()

    async def collect_errors(stream: asyncio.StreamReader) -> None:
        while data := await stream.read(_PIECE):  # to the end: a full pipe would stop the program
            errors.extend(data[: MAX_BYTES - len(errors)])

    task = asyncio.create_task(collect_errors(process.stderr))
    try:
        while len(value) <= MAX_BYTES + 1 and (data := await process.stdout.read(_PIECE)):
            value += data
        if len(value) <= MAX_BYTES + 1:
            await task
    finally:
        task.cancel()
        await asyncio.wait({task})
    return bytes(value), bytes(errors)


async def _end(process: Process) -> None:
    """Kill the session of the program, also what it left in the background, and close the pipes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):  # what left the session may keep them open
        async with asyncio.timeout(_CLOSING_SECONDS):
            await process.communicate()
