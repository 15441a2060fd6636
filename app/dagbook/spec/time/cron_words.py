"""Cron expressions in words, such as "Monday to Friday at 07:00"; times are in the zone of the expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from dagbook.spec.time.cron import Cron, parse

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOURS, _MINUTES, _HALF_HOUR, _LONGEST_MONTH = 24, 60, 30, 31
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_TEENS = range(11, 14)  # 11th, 12th, 13th
_FEW = 3  # times that are listed even if they are regular
_LISTED = 8  # irregular times
_CACHED = 1024  # expressions


@lru_cache(_CACHED)
def describe(expression: str) -> str:
    """Say in words when an expression fires; an invalid one has none."""
    try:
        cron = parse(expression)
    except ValueError:
        return ""
    times, are_all_named = _times_of_day(cron.minutes, cron.hours)
    days = _days(cron)
    if are_all_named:
        return f"{days or 'every day'} {times}"
    return f"{times}, {days}" if days else times


def _times_of_day(minutes: Sequence[int], hours: Sequence[int]) -> tuple[str, bool]:
    """Return the times of a day, and whether each of them is named."""
    times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
    if len(times) <= _FEW:
        return f"at {_listed(times)}", True
    if len(hours) == _HOURS:
        return _of_every_hour(minutes), False
    apart, between = _distance(hours), _distance(minutes)
    if len(minutes) == 1 and apart:
        end = "" if len(hours) * apart == _HOURS else f" to {times[-1]}"
        return f"{_every(apart, 'hour')} from {times[0]}{end}", False
    if (apart == 1 or len(hours) == 1) and between * len(minutes) == _MINUTES:
        return f"{_every(between, 'minute')} from {times[0]} to {times[-1]}", False
    if len(times) <= _LISTED:
        return f"at {_listed(times)}", True
    return f"{_minutes(minutes)} of {_hours(hours)}", False


def _of_every_hour(minutes: Sequence[int]) -> str:
    between = _distance(minutes)
    if not between:
        return f"every hour {_minutes(minutes)}"
    return _minutes(minutes) if between * len(minutes) == _MINUTES else f"{_minutes(minutes)} of every hour"


def _minutes(minutes: Sequence[int]) -> str:
    names = [f":{minute:02}" for minute in minutes]
    between = _distance(minutes)
    if not between:
        return f"at {_listed(names)}"
    if between * len(minutes) == _MINUTES:
        return _every(between, "minute") + (f" from {names[0]}" if minutes[0] else "")
    return f"{_every(between, 'minute')} from {names[0]} to {names[-1]}"


def _hours(hours: Sequence[int]) -> str:
    names = [f"{hour:02}" for hour in hours]
    apart = _distance(hours)
    if not apart:
        return f"the hour{'s' if len(hours) > 1 else ''} {_listed(names)}"
    return f"every {'' if apart == 1 else f'{_ordinal(apart)} '}hour from {names[0]} to {names[-1]}"


def _days(cron: Cron) -> str:
    """Say on which days; nothing for all of them."""
    months = "" if len(cron.months) == len(_MONTHS) else _series(sorted(cron.months), lambda month: _MONTHS[month - 1])
    has_all_days, has_all_weekdays = len(cron.days) == _LONGEST_MONTH, len(cron.weekdays) == len(_WEEKDAYS)
    is_either_enough = not (cron.any_day or cron.any_weekday)
    if (has_all_days and has_all_weekdays) or (is_either_enough and (has_all_days or has_all_weekdays)):
        return f"every day in {months}" if months else ""
    dates = "" if has_all_days else f"on {_dates(sorted(cron.days))} of {months or 'every month'}"
    if has_all_weekdays:
        return dates
    names = _series(sorted(day or len(_WEEKDAYS) for day in cron.weekdays), lambda day: _WEEKDAYS[day - 1])
    weekdays = (names if " to " in names else f"every {names}") + (f" in {months}" if months else "")
    return f"{dates} and also {weekdays}" if dates else weekdays


def _dates(days: Sequence[int]) -> str:
    apart = _distance(days)
    if apart > 1 and len(days) > _FEW:
        return f"every {_ordinal(apart)} day from the {_ordinal(days[0])} to the {_ordinal(days[-1])}"
    return f"the {_series(days, _ordinal)}"


def _distance(values: Sequence[int]) -> int:
    """Return the distance if it is the same between at least three values, or half an hour between two; else 0."""
    apart = values[1] - values[0] if len(values) > 1 else 0
    are_enough = len(values) >= _FEW or apart == _HALF_HOUR
    return apart if are_enough and tuple(values) == tuple(range(values[0], values[-1] + 1, apart)) else 0


def _series(values: Sequence[int], name: Callable[[int], str]) -> str:
    return f"{name(values[0])} to {name(values[-1])}" if _distance(values) == 1 else _listed(map(name, values))


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _every(count: int, unit: str) -> str:
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _ordinal(value: int) -> str:
    ending = "th" if value in _TEENS else _ENDINGS.get(value % 10, "th")
    return f"{value}{ending}"
