"""Driver of evaluations: runs the commands and jq programs that they ask for, and keeps the event loop free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar, assert_never

import msgspec

from dagbook.executors.capture import MOST_OUTPUT, CaptureError, capture
from dagbook.executors.jq.query import Budget, query
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.expansion.requests import Command, Evaluation, JqQuery, LongWork, Request

T = TypeVar("T")
CommandSubstituter = Callable[[str, "ShellContext"], Awaitable[str]]  # returns the replacement of a command
_LONGEST_TURN_SECONDS = 0.02  # of evaluations without a request, which come one after the other
_turn_started = 0.0


class ShellContext(msgspec.Struct, frozen=True, kw_only=True):
    """Shell, environment, directory and time limit of command substitutions."""

    shell: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    limit_seconds: float | None = None
    encoding: str = "utf-8"  # of their output
    account: str = ""  # under which they run
    substitute: CommandSubstituter | None = None  # called instead of running them
    committed: asyncio.Event | None = None  # set after the commit before which they must not run
    budget: Budget = msgspec.field(default_factory=Budget)


class _Result(msgspec.Struct, Generic[T]):
    value: T


async def evaluate(evaluation: Evaluation[T], shell_context: ShellContext) -> T:
    """Run an evaluation to its result; raises ExpansionError if a command in it fails."""
    await _give_way()
    answer: str | ExpansionError | None = None
    in_thread = False
    while True:
        if in_thread:
            shell_context.budget.require()
            step = await asyncio.to_thread(_advance_slowly, evaluation, answer, shell_context.budget)
        else:
            step = _advance(evaluation, answer)
        if isinstance(step, _Result):
            return step.value
        in_thread = in_thread or isinstance(step, LongWork)
        answer = await _answer(step, shell_context)


async def _give_way() -> None:
    """Let other tasks run now and then: thousands of short evaluations would stop the loop."""
    global _turn_started  # noqa: PLW0603 - the turn of the event loop, of which a process has one
    now = time.monotonic()
    if now - _turn_started > _LONGEST_TURN_SECONDS:
        await asyncio.sleep(0)
        _turn_started = time.monotonic()


def _advance(evaluation: Evaluation[T], answer: str | ExpansionError | None) -> Request | _Result[T]:
    try:
        return evaluation.throw(answer) if isinstance(answer, ExpansionError) else evaluation.send(answer)
    except StopIteration as end:
        return _Result(end.value)


def _advance_slowly(
    evaluation: Evaluation[T], answer: str | ExpansionError | None, budget: Budget
) -> Request | _Result[T]:
    started = time.monotonic()  # not while it waits for a thread
    try:
        return _advance(evaluation, answer)
    finally:
        budget.spend(started)


async def _answer(request: Request, shell_context: ShellContext) -> str | ExpansionError | None:
    try:
        match request:
            case Command(text):
                return await (shell_context.substitute or _run_command)(text, shell_context)
            case JqQuery(text, program):
                return await query(text, program, shell_context.budget)
            case LongWork():
                return None
            case _:
                assert_never(request)
    except ExpansionError as error:
        return error


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
            account=shell_context.account,
        )
    except CaptureError as error:
        raise ExpansionError(f"the command `{command}` {error}") from error
    if captured.is_cut:
        raise ExpansionError(f"the command `{command}` printed more than {MOST_OUTPUT} bytes")
    if captured.exit_code:
        raise ExpansionError(f"the command `{command}` ended with exit status {captured.exit_code}")
    return captured.stdout.strip()
