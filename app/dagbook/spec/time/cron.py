"""Five-field cron expressions and their next firing time (DAG format 2.6, runtime 23.2).

An expression fires in every real minute whose wall-clock time matches: a time skipped by a clock change does not
fire, a time that occurs twice fires twice.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import msgspec

HORIZON_YEARS = 5
_MAX_CHARACTERS = 1_000  # all values of all fields have fewer than 500
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_SUNDAY_FIRST = 1
_DECEMBER = 12
_PREFIX = re.compile(r"(?:CRON_TZ|TZ)=(\S*)\s+")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_SHORTHANDS = {
    "@yearly": '"0 0 1 1 *"',
    "@annually": '"0 0 1 1 *"',
    "@monthly": '"0 0 1 * *"',
    "@weekly": '"0 0 * * 0"',
    "@daily": '"0 0 * * *"',
    "@midnight": '"0 0 * * *"',
    "@hourly": '"0 * * * *"',
}
_WEEKDAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}


class _Field(msgspec.Struct, frozen=True):
    """The range of one of the five fields."""

    title: str
    lowest: int
    highest: int
    names: dict[str, int] = {}
    beyond: str = ""  # what to write for the number after the highest, which other dialects allow

    @property
    def values(self) -> str:
        """Describe the allowed values."""
        names = list(self.names)
        return f"{self.lowest} to {self.highest}" + (f" or {names[0]} to {names[-1]}" if names else "")


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23, beyond="0 for midnight"),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _WEEKDAYS, "0 for Sunday"),
)


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed expression: the sorted values of each field."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    any_day: bool
    any_weekday: bool
    zone: ZoneInfo | None = None

    def allows_day(self, day: date) -> bool:
        """Whether a day matches: either day field is enough if both are restricted."""
        if day.month not in self.months:
            return False
        on_day = day.day in self.days
        on_weekday = (day.weekday() + _SUNDAY_FIRST) % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return on_day and on_weekday
        return on_day or on_weekday


def parse(expression: str) -> Cron:
    """Parse an expression, with or without a zone prefix. Raises ValueError with the reason."""
    if len(expression) > _MAX_CHARACTERS:
        raise ValueError(f"it has {len(expression):,} characters; {_MAX_CHARACTERS:,} are enough for every time")
    zone, fields = _split_zone(expression.strip())
    if fields.startswith("@"):
        word = fields.split()[0]
        raise ValueError(f"{word} is not supported; write {_SHORTHANDS.get(word.lower(), 'five fields')}")
    parts = fields.split()
    if len(parts) != len(_FIELDS):
        seconds = "; leave out the seconds" if len(parts) == len(_FIELDS) + 1 else ""
        needed = f"{len(_FIELDS)} fields are needed (minute, hour, day, month, weekday), not {len(parts)}"
        raise ValueError(needed + seconds)
    values = [_parse_field(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = values
    return Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=weekdays,
        any_day=_is_unrestricted(parts[2]),
        any_weekday=_is_unrestricted(parts[4]),
        zone=zone,
    )


def next_after(cron: Cron, instant: datetime, default_zone: ZoneInfo) -> datetime | None:
    """Return the first matching minute strictly after an aware instant, in UTC; None if five years hold none."""
    zone = cron.zone or default_zone
    start = instant.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    turn = _turn_back(start, zone)
    if turn is None:
        return _first_from(cron, start, zone)
    # When the clock is set back wall-clock order is not time order: first the times before the change.
    fired = _first_from(cron, start, zone)
    return fired if fired and fired < turn else _first_from(cron, turn, zone)


def fires_at(cron: Cron, minute: datetime, default_zone: ZoneInfo) -> bool:
    """Whether an expression fires in the minute that starts at an aware instant."""
    wall = minute.astimezone(cron.zone or default_zone)
    return wall.minute in cron.minutes and wall.hour in cron.hours and cron.allows_day(wall.date())


def _first_from(cron: Cron, start: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first firing from an instant on, in wall-clock order."""
    wall = _next_wall(cron, start.astimezone(zone).replace(tzinfo=None, fold=0))
    last_year = start.year + HORIZON_YEARS
    while wall is not None and wall.year <= last_year:
        for fold in (0, 1):
            local = wall.replace(tzinfo=zone, fold=fold)
            fired = local.astimezone(UTC)
            if fired >= start and fired.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
                return fired
        wall = _next_wall(cron, wall + _MINUTE)
    return None


def _split_zone(text: str) -> tuple[ZoneInfo | None, str]:
    if not text.startswith(("CRON_TZ=", "TZ=")):
        return None, text
    prefix = _PREFIX.match(text)
    if prefix is None:
        raise ValueError("a blank and five fields must follow the time zone")
    try:
        return ZoneInfo(prefix[1]), text[prefix.end() :]
    except (KeyError, ValueError, OSError) as error:
        near = _zones_by_city().get(prefix[1].lower(), "a name such as Asia/Tokyo")
        raise ValueError(f"time zone {prefix[1]!r} is not known; write {near}") from error


@cache
def _zones_by_city() -> dict[str, str]:
    return {zone.lower().rpartition("/")[2]: zone for zone in sorted(available_timezones(), reverse=True)}


def _parse_field(text: str, field: _Field) -> frozenset[int]:
    parts = [part for part in text.split(",") if part]
    if not parts:
        raise ValueError(f"{field.title} {text!r} holds no value")
    return frozenset(value for part in parts for value in _parse_range(part, field))


def _parse_range(text: str, field: _Field) -> range:
    span, slash, step_text = text.partition("/")
    if slash and (not _is_number(step_text) or int(step_text) == 0):
        raise ValueError(f"{field.title} step {step_text!r} must be a number above 0")
    step = int(step_text) if slash else 1
    if span in {"*", "?"}:
        return range(field.lowest, field.highest + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _parse_value(first_text, field)
    last = _parse_value(last_text, field) if dash else first
    if first > last:
        raise ValueError(f"{field.title} range {span!r} runs backwards")
    return range(first, (field.highest if slash and not dash else last) + 1, step)


def _parse_value(text: str, field: _Field) -> int:
    if text.upper() in field.names:
        return field.names[text.upper()]
    if not _is_number(text):
        raise ValueError(f"{field.title} {text!r} is not a value cron knows; write {field.values}")
    value = int(text)
    if not field.lowest <= value <= field.highest:
        instead = f"; write {field.beyond}" if field.beyond and value == field.highest + 1 else ""
        raise ValueError(f"{field.title} {value} is outside {field.lowest} to {field.highest}{instead}")
    return value


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < len("1000000000")


def _is_unrestricted(text: str) -> bool:
    spans = (part.partition("/") for part in text.split(","))
    return any(span in {"*", "?"} and int(step or 1) == 1 for span, _, step in spans)


def _next_wall(cron: Cron, wall: datetime) -> datetime | None:
    """Return the first matching wall-clock time at or after this one, ignoring clock changes."""
    if cron.allows_day(wall.date()):
        moment = _next_time(cron, wall.hour, wall.minute)
        if moment is not None:
            return datetime.combine(wall.date(), moment)
    day = _next_day(cron, wall.date())
    return None if day is None else datetime.combine(day, time(cron.hours[0], cron.minutes[0]))


def _next_time(cron: Cron, hour: int, minute: int) -> time | None:
    position = bisect_left(cron.hours, hour)
    if position < len(cron.hours) and cron.hours[position] == hour:
        rest = bisect_left(cron.minutes, minute)
        if rest < len(cron.minutes):
            return time(hour, cron.minutes[rest])
        position += 1
    return time(cron.hours[position], cron.minutes[0]) if position < len(cron.hours) else None


def _next_day(cron: Cron, day: date) -> date | None:
    last_year = day.year + HORIZON_YEARS
    day += _DAY
    while day.year <= last_year:
        if day.month not in cron.months:
            # The first of the next month.
            day = date(day.year + day.month // _DECEMBER, day.month % _DECEMBER + 1, 1)
        elif cron.allows_day(day):
            return day
        else:
            day += _DAY
    return None


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _turn_back(start: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the minute within the next day at which the clock is set back, if any."""
    before, after = start, start + _DAY
    offset = _offset(before, zone)
    if _offset(after, zone) >= offset:
        return None
    while after - before > _MINUTE:
        middle = before + (after - before) // _MINUTE // 2 * _MINUTE
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after
