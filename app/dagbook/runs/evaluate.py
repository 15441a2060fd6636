"""Drives evaluations: the language says which command it wants run, this runs it and hands the text back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from dagbook.executors.capture import CaptureError, capture
from dagbook.spec.expansion.expand import ExpansionError

T = TypeVar("T")


class ShellContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where commands inside texts are run: shell, environment, directory, time limit in seconds."""

    shell: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    limit_seconds: float | None = None
    encoding: str = "utf-8"  # of what they write
    substitute: CommandSubstituter | None = None  # in place of running them
    committed: asyncio.Event | None = None  # set by the commit that they must not be run before


CommandSubstituter = Callable[[str, ShellContext], Awaitable[str]]  # gives what is put in place of a command


async def evaluate(evaluation: Generator[str, str, T], shell_context: ShellContext) -> T:
    """Drive an evaluation to its result; raises ExpansionError when a command in it fails."""
    substitute = shell_context.substitute or _run_command
    try:
        wanted = next(evaluation)
        while True:
            try:
                answer = await substitute(wanted, shell_context)
            except ExpansionError as error:
                wanted = evaluation.throw(error)
            else:
                wanted = evaluation.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def _run_command(command: str, shell_context: ShellContext) -> str:
    if shell_context.committed is not None:
        await shell_context.committed.wait()
    argv = (*shell_context.shell, "-c", command)
    try:
        captured = await capture(
            argv,
            env=shell_context.env,
            cwd=shell_context.cwd,
            limit_seconds=shell_context.limit_seconds,
            encoding=shell_context.encoding,
        )
    except CaptureError as error:
        raise ExpansionError(f"the command `{command}` {error}") from error
    if captured.exit_code:
        raise ExpansionError(f"the command `{command}` ended with exit status {captured.exit_code}")
    return captured.stdout.strip()
