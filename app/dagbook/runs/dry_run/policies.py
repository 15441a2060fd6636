"""Policies and conditions of a step in words (DAG format 3.8 to 3.11)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec

from dagbook.engine import rules
from dagbook.engine.state import NodeState
from dagbook.runs.evaluation.conditions import ConditionContext, evaluate_command, evaluate_value
from dagbook.runs.evaluation.placeholders import Placeholders
from dagbook.spec.expansion.conditions import check_value
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.expressions import ExpressionError
from dagbook.spec.model import Condition, ContinueOn, Repeat, Step

_MAX_WAITS = 6


def describe_retry(step: Step, limit: int, interval_seconds: int) -> str:
    """Describe how often a step is retried, and the pauses."""
    policy = step.retry
    if policy is None or limit <= 0:
        return "never"
    node = NodeState(retry_limit=limit, retry_interval_seconds=interval_seconds)
    waits = list(_waits(step, node, min(limit, _MAX_WAITS)))
    count = f"up to {limit} times" if limit > 1 else "once"
    same = len(set(waits)) == 1 < limit
    pauses = f"{waits[0]} each time" if same else ", ".join(waits) + (", …" if limit > _MAX_WAITS else "")
    codes = f" on exit code {_listed(policy.exit_codes)}" if policy.exit_codes else ""
    return f"{count}{codes}, after {pauses}"


def _waits(step: Step, node: NodeState, count: int) -> Iterator[str]:
    code = step.retry.exit_codes[0] if step.retry and step.retry.exit_codes else 1
    for number in range(count):
        tried = NodeState(
            retry_count=number,
            retry_limit=node.retry_limit,
            retry_interval_seconds=node.retry_interval_seconds,
        )
        wait = rules.retry_wait(step, tried, code)
        yield seconds(wait.total_seconds() if wait else 0)


def describe_repeat(policy: Repeat) -> str:
    """Describe until when a step is repeated, and the pauses."""
    waits = [seconds(rules.repeat_wait(policy, number).total_seconds()) for number in (1, 2, 3)]
    pauses = f"every {waits[0]}" if len(set(waits)) == 1 else f"after {', '.join(waits)}, …"
    limit = f", at most {policy.limit} executions" if policy.limit else ""
    return f"{policy.mode} {_describe_until(policy)}, {pauses}{limit}"


def _describe_until(policy: Repeat) -> str:
    if policy.condition is not None:
        return describe_condition(policy.condition)
    if policy.exit_codes:
        return f"the exit code is {_listed(policy.exit_codes)}"
    return "it succeeds"


def describe_condition(condition: Condition) -> str:
    """Describe a condition in words."""
    if not condition.expected:
        return f"{condition.condition} {'fails' if condition.negate else 'succeeds'}"
    return f"{condition.condition} is {'not ' if condition.negate else ''}{condition.expected}"


def describe_continue_on(policy: ContinueOn) -> str:
    """Describe the outcomes of a step after which the run continues; empty if there are none."""
    ends = [
        *(["failure"] if policy.failure else []),
        *(["being skipped"] if policy.skipped else []),
        *([f"exit code {_listed(policy.exit_codes)}"] if policy.exit_codes else []),
        *(f"output with {pattern}" for pattern in policy.output),
    ]
    return ", ".join(ends) + ("; counts as success" if ends and policy.mark_success else "")


def seconds(count: float) -> str:
    """Format a duration in seconds."""
    return f"{count:g} s"


def _listed(codes: Iterable[int]) -> str:
    *front, last = map(str, codes)
    return f"{', '.join(front)} or {last}" if front else last


class ConditionPreview(msgspec.Struct, frozen=True):
    """Description of a condition, and why it is not met; ``unmet`` is empty if it is met or unknown."""

    text: str
    unmet: str = ""


async def preview_condition(
    condition: Condition, context: ConditionContext, placeholders: Placeholders
) -> ConditionPreview:
    """Evaluate a condition as far as possible without running commands."""
    try:
        if not condition.expected:
            command = placeholders.show(await evaluate_command(condition, context))
            expected = "has to fail" if condition.negate else "has to succeed"
            return ConditionPreview(f"would be checked by running `{command}`, which {expected}")
        value = await evaluate_value(condition, context)
        if placeholders.is_in(value):
            description = describe_condition(msgspec.structs.replace(condition, condition=placeholders.show(value)))
            return ConditionPreview(f"would be compared when it runs: {description}")
        unmet = await asyncio.to_thread(check_value, condition, value)
    except (ExpansionError, ExpressionError) as error:
        return ConditionPreview(f"cannot be evaluated: {placeholders.show(str(error))}", placeholders.show(str(error)))
    description = describe_condition(msgspec.structs.replace(condition, condition=f'"{value}"'))
    return ConditionPreview(unmet or f"holds: {description}", unmet)
