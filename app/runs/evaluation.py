"""Drives evaluations: the language says which command it wants run, this runs it and hands the text back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from app.executors.capture import CaptureError, capture
from app.spec.expand import ExpansionError

T = TypeVar("T")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where commands inside texts are run: shell, environment, directory, time limit in seconds."""

    shell: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    limit_seconds: float | None = None
    encoding: str = "utf-8"  # of what they write
    substitute: Substitute | None = None  # in place of running them
    committed: asyncio.Event | None = None  # set by the commit that they must not be run before


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


async def _substitute(command: str, surroundings: Surroundings) -> str:
    if surroundings.committed is not None:
        await surroundings.committed.wait()
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
