"""Drives evaluations: the language says which command it wants run, this runs it and hands the text back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

import msgspec

from app.executors.capture import CaptureError, capture
from app.spec.expand import ExpansionError

T = TypeVar("T")
# Set in the task of a step that is prepared while its beginning is being stored: nothing of it may be run before.
is_stored: ContextVar[asyncio.Event | None] = ContextVar("is_stored", default=None)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where commands inside texts are run: shell, environment, directory, time limit in seconds."""

    shell: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    limit_seconds: float | None = None
    encoding: str = "utf-8"  # of what they write
    substitute: Substitute | None = None  # in place of running them


Substitute = Callable[[str, Surroundings], Awaitable[str]]  # gives what is put in place of a command


async def evaluate(evaluation: Generator[str, str, T], surroundings: Surroundings) -> T:
    """Drive an evaluation to its result; raises ExpansionError when a command in it fails."""
    substitute = surroundings.substitute or _substitute
    try:
        wanted = next(evaluation)
        while True:
            try:
                answer = await substitute(wanted, surroundings)
            except ExpansionError as error:
                wanted = evaluation.throw(error)
            else:
                wanted = evaluation.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


def is_early() -> bool:
    """Whether what the task belongs to is not stored yet."""
    stored = is_stored.get()
    return stored is not None and not stored.is_set()


async def wait_until_stored() -> None:
    """Return when what the task belongs to is stored: at once, unless the task was begun early."""
    if (stored := is_stored.get()) is not None:
        await stored.wait()


async def _substitute(command: str, surroundings: Surroundings) -> str:
    await wait_until_stored()
    argv = (*surroundings.shell, "-c", command)
    try:
        captured = await capture(
            argv,
            env=surroundings.env,
            cwd=surroundings.cwd,
            limit_seconds=surroundings.limit_seconds,
            encoding=surroundings.encoding,
        )
    except CaptureError as error:
        raise ExpansionError(f"the command `{command}` {error}") from error
    if captured.exit_code:
        raise ExpansionError(f"the command `{command}` ended with exit status {captured.exit_code}")
    return captured.stdout.strip()
