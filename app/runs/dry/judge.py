"""Preconditions without running anything: texts are compared, commands are only named (DAG format 3.11)."""

from __future__ import annotations

import msgspec

from app.runs.conditions import Ways
from app.runs.dry.held import Held
from app.runs.dry.policies import say_condition
from app.runs.evaluation import evaluate
from app.spec import conditions
from app.spec.expand import ExpansionError, Mode
from app.spec.model import Condition


class Verdict(msgspec.Struct, frozen=True):
    """A condition in words, and why it does not hold; empty where it holds or nobody can tell."""

    text: str
    unmet: str = ""


async def judge(condition: Condition, ways: Ways, held: Held) -> Verdict:
    """Look at a condition as far as that is possible."""
    try:
        if not condition.expected:
            return await _name_command(condition, ways, held)
        value = await evaluate(ways.expand(condition.condition, Mode.FULL), ways.surroundings)
    except ExpansionError as error:
        return Verdict(f"cannot be evaluated: {held.show(str(error))}", held.show(str(error)))
    if held.is_in(value):
        shown = say_condition(msgspec.structs.replace(condition, condition=held.show(value)))
        return Verdict(f"would be compared when it runs: {shown}")
    unmet = conditions.check_value(condition, value)
    said = say_condition(msgspec.structs.replace(condition, condition=f'"{value}"'))
    return Verdict(unmet or f"holds: {said}", unmet)


async def _name_command(condition: Condition, ways: Ways, held: Held) -> Verdict:
    command = held.show(await evaluate(ways.expand(condition.condition, Mode.VARS), ways.surroundings))
    wanted = "has to fail" if condition.negate else "has to succeed"
    return Verdict(f"would be checked by running `{command}`, which {wanted}")
