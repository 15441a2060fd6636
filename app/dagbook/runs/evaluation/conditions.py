"""Looks at preconditions and repeat conditions (DAG format 3.11, runtime 7)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import msgspec

from dagbook.executors.capture import CaptureError, capture
from dagbook.executors.contract import EXIT_NOT_FOUND
from dagbook.executors.shell import DIRECT
from dagbook.runs.evaluate import ShellContext, evaluate
from dagbook.spec.expansion import conditions, shell_words
from dagbook.spec.expansion.expand import ExpansionError, Mode
from dagbook.spec.model import Condition

Expand = Callable[[str, Mode], Generator[str, str, str]]


class ConditionResult(msgspec.Struct, frozen=True):
    """What looking at conditions brought: a text for each, empty where it held, and what went wrong altogether."""

    errors: tuple[str, ...]
    problem: str = ""

    @property
    def met(self) -> bool:
        """Whether all conditions hold."""
        return not any(self.errors)


class ConditionContext(msgspec.Struct, frozen=True):
    """How texts of conditions are expanded, and the shell of those that are commands.

    Commands in backticks, inside any of them, are not run by that shell, but by that of the surroundings.
    """

    expand: Expand
    shell: tuple[str, ...]
    shell_context: ShellContext


async def check(wanted: Sequence[Condition], context: ConditionContext, mask: Callable[[str], str]) -> ConditionResult:
    """Look at every condition, one after the other; all are looked at even when one fails.

    Values are masked before they become part of a message, which may cut them.
    """
    errors, problem = [], ""
    for condition in wanted:
        try:
            errors.append(await _unmet(condition, context, mask))
        except (ExpansionError, ValueError) as error:
            problem = problem or f"the condition could not be evaluated: {error}"
            errors.append(str(error))
    return ConditionResult(conditions.all_messages(errors), problem)


async def _unmet(condition: Condition, context: ConditionContext, mask: Callable[[str], str]) -> str:
    """Say why a condition does not hold; empty when it does."""
    around = context.shell_context
    if condition.expected:
        value = await evaluate(context.expand(condition.condition, Mode.FULL), around)
        return conditions.check_value(condition, value, mask(value))
    argv = _argv(context.shell, await evaluate(context.expand(condition.condition, Mode.VARS), around))
    if not argv:  # an empty command succeeds
        return conditions.check_exit(condition, 0)
    try:
        captured = await capture(argv, env=around.env, cwd=around.cwd, limit_seconds=None)
    except CaptureError:  # a program that is not there fails, as it does in a shell
        return conditions.check_exit(condition, EXIT_NOT_FOUND)
    return conditions.check_exit(condition, captured.exit_code)


def _argv(shell: Sequence[str], command: str) -> tuple[str, ...]:
    """Give the words that run a command: by the shell, or as they are where there is none (DAG format 3.4)."""
    if shell[0] != DIRECT:
        return (*shell, "-c", command)
    return tuple(shell_words.split(command)) if command.strip() else ()
