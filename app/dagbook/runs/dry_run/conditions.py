"""Preconditions without running anything: texts are compared, commands are only named (DAG format 3.11)."""

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
    """A condition in words, and why it does not hold; empty where it holds or nobody can tell."""

    text: str
    unmet: str = ""


async def preview_condition(
    condition: Condition, context: ConditionContext, placeholders: Placeholders
) -> ConditionPreview:
    """Look at a condition as far as that is possible."""
    try:
        if not condition.expected:
            return await _name_command(condition, context, placeholders)
        value = await evaluate(context.expand(condition.condition, Mode.FULL), context.shell_context)
    except ExpansionError as error:
        return ConditionPreview(f"cannot be evaluated: {placeholders.show(str(error))}", placeholders.show(str(error)))
    if placeholders.is_in(value):
        shown = describe_condition(msgspec.structs.replace(condition, condition=placeholders.show(value)))
        return ConditionPreview(f"would be compared when it runs: {shown}")
    unmet = conditions.check_value(condition, value)
    said = describe_condition(msgspec.structs.replace(condition, condition=f'"{value}"'))
    return ConditionPreview(unmet or f"holds: {said}", unmet)


async def _name_command(
    condition: Condition, context: ConditionContext, placeholders: Placeholders
) -> ConditionPreview:
    command = placeholders.show(await evaluate(context.expand(condition.condition, Mode.VARS), context.shell_context))
    wanted = "has to fail" if condition.negate else "has to succeed"
    return ConditionPreview(f"would be checked by running `{command}`, which {wanted}")
