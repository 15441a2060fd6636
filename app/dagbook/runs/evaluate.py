"""Driver of evaluations: runs the commands that an expansion yields, and sends their output back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from dagbook.executors.in_process import CaptureError, capture
from dagbook.spec.expansion.expand import ExpansionError

T = TypeVar("T")


class ShellContext(msgspec.Struct, frozen=True, kw_only=True):
    """Shell, environment, directory and time limit of command substitutions."""

    shell: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    limit_seconds: float | None = None
    encoding: str = "utf-8"  # of their output
    substitute: CommandSubstituter | None = None  # called instead of running them
    committed: asyncio.Event | None = None  # set after the commit before which they must not run


CommandSubstituter = Callable[[str, ShellContext], Awaitable[str]]  # returns the replacement of a command


async def evaluate(evaluation: Generator[str, str, T], shell_context: ShellContext) -> T:
    """Run an evaluation to its result; raises ExpansionError if a command in it fails."""
    substitute = shell_context.substitute or _run_command
    try:
        command = next(evaluation)
        while True:
            try:
                output = await substitute(command, shell_context)
            except ExpansionError as error:
                command = evaluation.throw(error)
            else:
                command = evaluation.send(output)
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
