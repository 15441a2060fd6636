"""Looks at preconditions and repeat conditions (DAG format 3.11, runtime 7)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import msgspec

from app.executors.capture import CaptureError, capture
from app.executors.contract import EXIT_NOT_FOUND
from app.runs.evaluation import Surroundings, evaluate
from app.spec import conditions
from app.spec.expand import ExpansionError, Mode
from app.spec.model import Condition

Expand = Callable[[str, Mode], Generator[str, str, str]]


class Verdict(msgspec.Struct, frozen=True):
    """What looking at conditions brought: a text for each, empty where it held, and what went wrong altogether."""

    errors: tuple[str, ...]
    problem: str = ""

    @property
    def met(self) -> bool:
        """Whether all conditions hold."""
        return not any(self.errors)


async def check(
    wanted: Sequence[Condition], expand: Expand, surroundings: Surroundings, mask: Callable[[str], str]
) -> Verdict:
    """Look at every condition, one after the other; all are looked at even when one fails.

    Values are masked before they become part of a message, which may cut them.
    """
    errors, problem = [], ""
    for condition in wanted:
        try:
            errors.append(await _unmet(condition, expand, surroundings, mask))
        except ExpansionError as error:
            problem = problem or f"the condition could not be evaluated: {error}"
            errors.append(str(error))
    return Verdict(conditions.with_others(errors), problem)


async def _unmet(condition: Condition, expand: Expand, surroundings: Surroundings, mask: Callable[[str], str]) -> str:
    """Say why a condition does not hold; empty when it does."""
    if condition.expected:
        value = await evaluate(expand(condition.condition, Mode.FULL), surroundings)
        return conditions.judge_value(condition, value, mask(value))
    command = await evaluate(expand(condition.condition, Mode.VARS), surroundings)
    argv = (*surroundings.shell, "-c", command)
    try:
        captured = await capture(argv, env=surroundings.env, cwd=surroundings.cwd, limit_seconds=None)
    except CaptureError:
        return conditions.judge_exit(condition, EXIT_NOT_FOUND)
    return conditions.judge_exit(condition, captured.exit_code)
