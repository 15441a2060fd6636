"""Data model of a dry run, and descriptions of the policies and conditions of a step (DAG format 3.8 to 3.11)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from dagbook.engine import action, event, rules
from dagbook.engine.advance import advance, due
from dagbook.engine.plan import Plan, initial_state
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.runs.dry_run.placeholders import Placeholders
from dagbook.runs.evaluate import evaluate
from dagbook.runs.evaluation.conditions import ConditionContext
from dagbook.spec.expansion import patterns
from dagbook.spec.expansion.expand import ExpansionError, Mode
from dagbook.spec.expansion.shell_quotes import reads_posix
from dagbook.spec.expressions import ExpressionError
from dagbook.spec.model import Condition, ContinueOn, Dag, Repeat, Step

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
            return await _preview_command(condition, context, placeholders)
        value = await evaluate(context.expand(condition.condition, Mode.FULL), context.shell_context)
        if placeholders.is_in(value):
            description = describe_condition(msgspec.structs.replace(condition, condition=placeholders.show(value)))
            return ConditionPreview(f"would be compared when it runs: {description}")
        unmet = await asyncio.to_thread(patterns.check_value, condition, value)
    except (ExpansionError, ExpressionError) as error:
        return ConditionPreview(f"cannot be evaluated: {placeholders.show(str(error))}", placeholders.show(str(error)))
    description = describe_condition(msgspec.structs.replace(condition, condition=f'"{value}"'))
    return ConditionPreview(unmet or f"holds: {description}", unmet)


async def _preview_command(
    condition: Condition, context: ConditionContext, placeholders: Placeholders
) -> ConditionPreview:
    command = placeholders.show(
        await evaluate(
            context.expand(condition.condition, Mode.VARS, for_shell=reads_posix(context.shell)), context.shell_context
        )
    )
    expected = "has to fail" if condition.negate else "has to succeed"
    return ConditionPreview(f"would be checked by running `{command}`, which {expected}")


class Fact(msgspec.Struct, frozen=True):
    """Labelled text of a dry run, of one or several lines."""

    label: str
    text: str


class StepPreview(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a step or handler; ``note`` says why it would not run."""

    title: str
    facts: tuple[Fact, ...]
    note: str = ""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a run of one DAG."""

    title: str
    facts: tuple[Fact, ...]
    steps: tuple[StepPreview, ...]
    handlers: tuple[StepPreview, ...]
    ending: str


_START = datetime(2000, 1, 1, tzinfo=UTC)


def simulate(dag: Dag, unmet: Mapping[int | None, tuple[str, ...]]) -> RunState:
    """Return the final state of a run; ``unmet`` has the errors of the preconditions of the DAG (None) and of nodes."""
    # Without delays, time limits, retries and repetitions.
    steps = tuple(msgspec.structs.replace(step, retry=None, repeat=None, timeout_seconds=0) for step in dag.steps)
    plan = Plan.of(msgspec.structs.replace(dag, steps=steps, timeout_seconds=0, delay_seconds=0))
    now = _START
    state, actions = advance(plan, initial_state(plan), event.RunStarted(), now)
    pending = deque(actions)
    while state.phase is not Phase.CLOSED:
        if not pending:
            now = max(now, due(plan, state) or now)
        for result in _events_of(pending.popleft(), unmet) if pending else (event.TimerFired(),):
            state, actions = advance(plan, state, result, now)
            pending += actions
    return state


def _events_of(requested: action.Action, unmet: Mapping[int | None, tuple[str, ...]]) -> Iterator[event.Event]:
    match requested:
        case action.CheckConditions(key=key):
            yield event.ConditionsChecked(key=key, errors=unmet.get(key, ()))
        case action.StartStep(key=key, execution=number):
            yield event.ExecutionStarted(key=key, execution=number)
            yield event.StepExited(key=key, execution=number, exit_code=0)
