"""Evaluation of preconditions and repeat conditions (DAG format 3.11, runtime 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from dagbook.executors.capture import CaptureError, capture
from dagbook.executors.contract import EXIT_NOT_FOUND
from dagbook.executors.shell import DIRECT
from dagbook.runs.evaluate import ShellContext, evaluate
from dagbook.spec.expansion import shell_words
from dagbook.spec.expansion.conditions import all_messages, check_exit, check_value, is_expression
from dagbook.spec.expansion.expand import ExpansionError, Mode
from dagbook.spec.expansion.requests import Evaluation
from dagbook.spec.expansion.shell_quotes import reads_posix
from dagbook.spec.model import Condition


class Expand(Protocol):
    """Expands a text in a mode; with ``for_shell`` it is read by a POSIX shell."""

    def __call__(self, text: str, mode: Mode, *, for_shell: bool = False) -> Evaluation[str]: ...


class ConditionResult(msgspec.Struct, frozen=True):
    """Result of conditions: an error text for each, empty if it is met, and the first evaluation problem."""

    errors: tuple[str, ...]
    problem: str = ""

    @property
    def met(self) -> bool:
        """Whether all conditions hold."""
        return not any(self.errors)


class ConditionContext(msgspec.Struct, frozen=True):
    """Expansion of the texts of conditions, and the shell for conditions that are commands.

    Backtick commands inside any of them are not run by that shell, but by the one of ``shell_context``.
    """

    expand: Expand
    shell: tuple[str, ...]
    shell_context: ShellContext


async def check(
    unchecked: Sequence[Condition], context: ConditionContext, mask: Callable[[str], str]
) -> ConditionResult:
    """Evaluate conditions one after the other, all of them even if one fails.

    Values are masked before they become part of a message, because the message may truncate them.
    """
    errors, problem = [], ""
    for condition in unchecked:
        try:
            errors.append(await _unmet(condition, context, mask))
        except (ExpansionError, ValueError) as error:
            problem = problem or f"the condition could not be evaluated: {error}"
            errors.append(str(error))
    return ConditionResult(all_messages(errors), problem)


async def _unmet(condition: Condition, context: ConditionContext, mask: Callable[[str], str]) -> str:
    """Return why a condition is not met; empty if it is."""
    shell_context = context.shell_context
    if condition.expected:
        value = await evaluate_value(condition, context)
        masked = mask(value)
        if not is_expression(condition.expected):
            return check_value(condition, value, masked)
        return await asyncio.to_thread(check_value, condition, value, masked)  # it may take seconds
    command = await evaluate_command(condition, context)
    if context.shell[0] != DIRECT:
        argv = [*context.shell, "-c", command]
    else:  # without a shell the command is split into words (DAG format 3.4)
        argv = shell_words.split(command) if command.strip() else []
    if not argv:  # an empty command succeeds
        return check_exit(condition, 0)
    try:
        captured = await capture(
            argv, env=shell_context.env, cwd=shell_context.cwd, limit_seconds=None, account=shell_context.account
        )
    except CaptureError:  # a missing program fails the condition, as in a shell
        return check_exit(condition, EXIT_NOT_FOUND)
    return check_exit(condition, captured.exit_code)


async def evaluate_value(condition: Condition, context: ConditionContext) -> str:
    """Evaluate the text of a condition that is compared; raises ExpansionError."""
    return await evaluate(context.expand(condition.condition, Mode.FULL), context.shell_context)


async def evaluate_command(condition: Condition, context: ConditionContext) -> str:
    """Evaluate the command of a condition that expects no value; raises ExpansionError."""
    expanded = context.expand(condition.condition, Mode.VARS, for_shell=reads_posix(context.shell))
    return await evaluate(expanded, context.shell_context)
