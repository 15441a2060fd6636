from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dagbook.spec.build.field import Field
from dagbook.spec.build.object_schema import Reader, refuse_unknown_key
from dagbook.spec.build.scalars import boolean, text
from dagbook.spec.model import Condition

CONDITION: dict[str, Reader] = {"condition": text, "command": text, "expected": text, "negate": boolean}


def preconditions(field: Field) -> tuple[Condition, ...]:
    """Read one condition, or a list of them in which lists may be nested."""
    return tuple(_flatten(field))


def _flatten(field: Field) -> Iterator[Condition]:
    match field.value:
        case None:
            return
        case str():
            yield Condition(condition=field.value)
        case list():
            for item in field.items():
                yield from _flatten(item)
        case dict():
            yield from _map_condition(field)
        case _:
            field.expect("a text, a map or a list of these")


def _map_condition(field: Field) -> Iterator[Condition]:
    found: dict[str, Any] = {}
    sound = True
    for key, entry in field.entries():
        reader = CONDITION.get(key.lower())
        if reader is None:
            sound = refuse_unknown_key(field, key, list(CONDITION)) not in ("condition", "command") and sound
        else:
            found[key.lower()] = value = reader(entry)
            sound = sound and value is not None
    asked = found.get("condition") or found.get("command")
    if not asked and sound:
        field.refuse("this precondition has no condition; add one")
    if asked and sound:
        yield Condition(
            condition=asked,
            expected=found.get("expected", ""),
            negate=found.get("negate", False),
        )
