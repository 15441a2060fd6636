"""Preview of preconditions: texts are compared, commands are shown and not run (DAG format 3.11)."""

from __future__ import annotations

import msgspec

from dagbook.runs.dry_run.placeholders import Placeholders
from dagbook.runs.dry_run.policies import describe_condition
from dagbook.runs.evaluate import evaluate
from dagbook.runs.evaluation.conditions import ConditionContext
from dagbook.spec.expansion import conditions
from dagbook.spec.expansion.expand import ExpansionError, Mode
from dagbook.spec.model import Condition


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
    except ExpansionError as error:
        return ConditionPreview(f"cannot be evaluated: {placeholders.show(str(error))}", placeholders.show(str(error)))
    if placeholders.is_in(value):
        description = describe_condition(msgspec.structs.replace(condition, condition=placeholders.show(value)))
        return ConditionPreview(f"would be compared when it runs: {description}")
    unmet = conditions.check_value(condition, value)
    description = describe_condition(msgspec.structs.replace(condition, condition=f'"{value}"'))
    return ConditionPreview(unmet or f"holds: {description}", unmet)


async def _preview_command(
    condition: Condition, context: ConditionContext, placeholders: Placeholders
) -> ConditionPreview:
    command = placeholders.show(await evaluate(context.expand(condition.condition, Mode.VARS), context.shell_context))
    expected = "has to fail" if condition.negate else "has to succeed"
    return ConditionPreview(f"would be checked by running `{command}`, which {expected}")
