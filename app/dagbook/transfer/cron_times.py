"""The time fields of a crontab line as an expression of the DAG format. Pure.

Both combine the day fields by "either is enough" when both are restricted. But to cron a field that begins with ``*``
is not restricted, also ``*/2``, and here one is not restricted when it allows every day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
    "@every_minute": "* * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_NO_NAMES: Mapping[str, int] = {}
_WEEK = 7
_SPAN = re.compile(r"(?:(\*)|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/([0-9]{1,9}))?")
_NUMBER = re.compile(r"[0-9]{1,9}")


class _Field(Enum):
    """The range of each of the five fields, as cron has it, and the names of its values."""

    MINUTE = ("minute", 0, 59, _NO_NAMES)
    HOUR = ("hour", 0, 23, _NO_NAMES)
    DAY = ("day of month", 1, 31, _NO_NAMES)
    MONTH = ("month", 1, 12, _MONTHS)
    WEEKDAY = ("day of week", 0, 7, _WEEKDAYS)  # 0 and 7 are Sunday

    def __init__(self, title: str, lowest: int, highest: int, names: Mapping[str, int]) -> None:
        self.title = title
        self.lowest = lowest
        self.highest = highest
        self.names = names


def translate(fields: Sequence[str]) -> str:
    """Return the expression with the meaning of five fields of cron. Raises ValueError with the reason."""
    minute, hour, day, month, weekday = fields
    values = {
        field: frozenset(value for part in text.split(",") for value in _read_span(part, field))
        for text, field in zip(fields, _Field, strict=True)
    }
    weekdays = frozenset(value % _WEEK for value in values[_Field.WEEKDAY])
    any_day, any_weekday = len(values[_Field.DAY]) == _Field.DAY.highest, len(weekdays) == _WEEK
    if day.startswith("*") or weekday.startswith("*"):
        if not (any_day or any_weekday):
            raise ValueError(
                f"cron starts it on days that match both {day} and {weekday}, which no expression says; leave one of "
                "them to a precondition"
            )
        day, weekday = "*" if any_day else day, "*" if any_weekday else _without_seven(weekday, weekdays)
    elif any_day or any_weekday:
        day, weekday = "*", "*"
    else:
        weekday = _without_seven(weekday, weekdays)
    return f"{minute} {hour} {day} {month} {weekday}"


def _without_seven(text: str, weekdays: frozenset[int]) -> str:
    return ",".join(map(str, sorted(weekdays))) if str(_WEEK) in text else text


def _read_span(text: str, field: _Field) -> range:
    if "~" in text:
        raise ValueError(f"{field.title} {text!r} is chosen at random; write a fixed value")
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{field.title} {text!r} is not a value of cron")
    star, first_text, last_text, step_text = match.groups()
    step = int(step_text or 1)
    if not step:
        raise ValueError(f"{field.title} {text!r} has the step 0")
    if star:
        return range(field.lowest, field.highest + 1, step)
    if step_text and not last_text:
        raise ValueError(
            f"{field.title} {text!r} is read differently by versions of cron; write {first_text}, or "
            f"{first_text}-{field.highest}/{step}"
        )
    first = _read_value(first_text, field)
    last = _read_value(last_text, field) if last_text else first
    if first > last:
        raise ValueError(f"{field.title} {text!r} runs backwards")
    return range(first, last + 1, step)


def _read_value(text: str, field: _Field) -> int:
    value = field.names.get(text.lower(), -1)
    if value < 0 and _NUMBER.fullmatch(text):
        value = int(text)
    if not field.lowest <= value <= field.highest:
        raise ValueError(f"{field.title} {text!r} is not a value from {field.lowest} to {field.highest}")
    return value
