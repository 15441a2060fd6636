"""The schedules of a DAG (DAG format 2.6)."""

from __future__ import annotations

from dagbook.spec.build.field import Field
from dagbook.spec.build.object_schema import refuse_unknown_key
from dagbook.spec.model import Schedule
from dagbook.spec.problem import quoted
from dagbook.spec.time.cron import parse

ACTIONS = ("start", "stop", "restart")


def schedule(field: Field) -> Schedule | None:
    """Read one expression, a list of them, or a map of those for each action."""
    match field.value:
        case str() | list():
            return Schedule(start=_expressions(field))
        case dict():
            return Schedule(**_by_action(field))
        case _:
            field.expect("a text, a list or a map with start, stop and restart")
            return None


def _by_action(field: Field) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, entry in field.entries():
        if key not in ACTIONS:
            refuse_unknown_key(field, key, ACTIONS)
        elif isinstance(entry.value, str | list):
            found[key] = _expressions(entry)
    return found


def _expressions(field: Field) -> tuple[str, ...]:
    items = [field] if isinstance(field.value, str) else list(field.items())
    return tuple(item.value for item in items if _is_expression(item))


def _is_expression(item: Field) -> bool:
    if not isinstance(item.value, str):
        item.expect("a cron expression as text")
        return False
    if item.report.full:  # further problems are dropped, and the search for zones is slow
        return False
    try:
        parse(item.value)
    except ValueError as error:
        item.refuse(f"{quoted(item.value)} is not a schedule: {error}")
        return False
    return True
