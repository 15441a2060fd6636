"""Tolerance, retries, repetition and conditions of a step (DAG format 3.8 to 3.11)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from dagbook.spec.build.field import Field, describe
from dagbook.spec.build.hints import join_words
from dagbook.spec.build.object_schema import ObjectSchema, Reader, ignored, refuse_unknown_key, warn_unknown_keys
from dagbook.spec.build.scalars import boolean, integer, integers, is_number, natural, text, text_or_texts
from dagbook.spec.model import Condition, ContinueOn, Repeat, Retry

DEFAULT_BACKOFF = 2.0
_WORDS = {"failed": ContinueOn(failure=True), "skipped": ContinueOn(skipped=True)}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


def continue_on(field: Field) -> ContinueOn | None:
    """Read what dependents tolerate: a word, or a map whose unknown keys are ignored."""
    match field.value:
        case str():
            found = _WORDS.get(field.value.strip().lower())
            if found is None:
                field.refuse(f"must be failed or skipped, not {describe(field.value)}")
            return found
        case dict():
            warn_unknown_keys(field, list(CONTINUE_ON))
            read = [(CONTINUE_ON[key], entry) for key, entry in field.entries() if key in CONTINUE_ON]
            values = [(name, value) for (name, reader), entry in read if (value := reader(entry)) is not None]
            either = any(value for name, value in values if name == "failure")  # it has two spellings
            return ContinueOn(**{**dict(values), "failure": either})
        case _:
            field.expect(f"failed, skipped or a map with {join_words(list(CONTINUE_ON))}")
            return None


def retry(field: Field) -> Retry | None:
    """Read a retry policy, in which limit and interval are required."""
    parsed = RETRY.read(field)
    if parsed is None:
        return None
    for key, name in (("limit", "limit"), ("intervalSec", "interval_seconds")):
        if name not in parsed.fields and not parsed.refused(name):
            field.refuse(f"a retry policy needs {key}; add it")
    complete = "limit" in parsed.values and "interval_seconds" in parsed.values
    return Retry(**parsed.values) if complete else None


def repeat(field: Field) -> Repeat | None:
    """Read a repeat policy; None if it asks for no repetition."""
    parsed = REPEAT.read(field)
    if parsed is None or parsed.refused("repeat"):
        return None
    fields = parsed.values
    asked = fields.pop("repeat", False)
    condition, expected = fields.pop("condition", ""), fields.pop("expected", "")
    exit_codes = fields.get("exit_codes")
    if isinstance(asked, str) and not condition and not exit_codes:
        if not parsed.refused("condition", "exit_codes"):
            parsed.fields["repeat"].refuse(f"{asked} needs a condition or an exitCode; add one")
        return None
    mode = _mode(asked, condition, expected, exit_codes)
    if mode is None:
        return None
    fields["condition"] = Condition(condition=condition, expected=expected) if condition else None
    backoff = parsed.fields.get("backoff")
    fields["backoff"] = (backoff and _backoff(backoff)) or 0.0
    return Repeat(mode=mode, **fields)


def _mode(asked: bool | str, condition: str, expected: str, exit_codes: object) -> Any:
    if isinstance(asked, str):
        return asked
    if condition and expected and not asked:
        return "until"
    return "while" if asked or condition or exit_codes else None


def _backoff(field: Field) -> float | None:
    """Read a multiplier; true is 2, values up to 0 are none."""
    value = field.value
    if isinstance(value, bool):
        return DEFAULT_BACKOFF if value else 0.0
    if not is_number(value):
        field.expect("a number above 1.0, true or false")
        return None
    if not math.isfinite(value) or 0 < value <= 1:
        field.refuse(f"must be above 1.0, not {value}")
        return None
    return max(float(value), 0.0)


def _repeat_word(field: Field) -> bool | str | None:
    if isinstance(field.value, bool) or field.value in ("while", "until"):
        found: bool | str = field.value
        return found
    field.expect("true, false, while or until")
    return None


def _whole_or_text(field: Field) -> int | str | None:
    value = field.value
    if isinstance(value, str) or type(value) is int:
        return text(field) if isinstance(value, str) else integer(field)
    field.expect("a whole number or a text")
    return None


def _any_exit_codes(field: Field) -> tuple[int, ...] | None:
    """Read a number, a number as text, or a list of these; a fraction is cut off."""
    if isinstance(field.value, str):
        code = _exit_code(field, field.value.strip())
        return None if code is None else (code,)
    items = list(field.items()) if isinstance(field.value, list) else [field]
    codes = [_exit_code(item, item.value) for item in items]
    return None if None in codes else tuple(code for code in codes if code is not None)


def _exit_code(item: Field, value: object) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        item.warn(f"is read as {int(value)}: an exit code is a whole number")
        return int(value)
    if isinstance(value, int) and is_number(value):
        return int(value)
    item.expect("a whole number, or a list of them")
    return None


CONTINUE_ON: dict[str, tuple[str, Reader]] = {
    "failure": ("failure", boolean),
    "failed": ("failure", boolean),
    "skipped": ("skipped", boolean),
    "exitCode": ("exit_codes", _any_exit_codes),
    "output": ("output", text_or_texts),
    "markSuccess": ("mark_success", boolean),
}
RETRY = ObjectSchema(
    {
        "limit": ("limit", _whole_or_text),
        "intervalSec": ("interval_seconds", _whole_or_text),
        "exitCode": ("exit_codes", integers),
        "backoff": ("backoff", _backoff),
        "maxIntervalSec": ("max_interval_seconds", natural),
    },
)
REPEAT = ObjectSchema(
    {
        "repeat": ("repeat", _repeat_word),
        "condition": ("condition", text),
        "expected": ("expected", text),
        "exitCode": ("exit_codes", integers),
        "intervalSec": ("interval_seconds", natural),
        "limit": ("limit", natural),
        # The backoff is only checked for a policy that repeats, so it is read after that is known.
        "backoff": ("backoff", ignored),
        "maxIntervalSec": ("max_interval_seconds", natural),
    },
)


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
