"""Schedules and clock changes to draw from, and an independent matcher that says when they are due (promise R10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

# Half hours, whole hours and days; north and south; midnight, and zones without any change.
ZONES = (
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "America/Santiago",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "UTC",
)
FIELDS = (
    ("*", "0", "30", "59", "*/7", "*/15", "15-45/10", "1,31", "5/20"),
    ("*", "0", "1", "2", "3", "23", "*/2", "1-3", "0,23", "22-23"),
    ("*", "*", "?", "1", "*/2", "8", "31", "25-31", "1-7"),
    ("*", "*", "*", "3", "10-12", "MAR,nov", "*/2"),
    ("*", "*", "?", "0", "SUN", "6", "*/3", "sat,sun", "1-5"),
)
_YEARS = range(2018, 2028)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_HALF_DAY = timedelta(hours=12)
_SUNDAY_FIRST = 1
_CACHED = 100_000


class ClockChange(NamedTuple):
    """An instant at which the clock of a zone is set forward or back; in a zone without any, the end of a year."""

    zone: str
    at: datetime


@cache
def changes(zone_name: str) -> list[ClockChange]:
    """Return all changes of a zone's clock in ten years."""
    zone, found = ZoneInfo(zone_name), []
    instant, end = datetime(_YEARS[0], 1, 1, tzinfo=UTC), datetime(_YEARS[-1] + 1, 1, 1, tzinfo=UTC)
    while instant < end:
        following = instant + _HALF_DAY
        if _offset(instant, zone) != _offset(following, zone):
            hours = (instant + number * _HOUR for number in range(1, _HALF_DAY // _HOUR + 1))
            found += [
                ClockChange(zone_name, hour) for hour in hours if _offset(hour - _HOUR, zone) != _offset(hour, zone)
            ]
        instant = following
    return found or [ClockChange(zone_name, end)]


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta | None:
    return instant.astimezone(zone).utcoffset()


_NAMES = {
    name: str(number)
    for names, first in (
        (("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 0),
        (("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1),
    )
    for number, name in enumerate(names, first)
}


@lru_cache(_CACHED)
def _allows(field: str, value: int, lowest: int, highest: int) -> bool:
    """Whether a field allows a value, by trying it on each of its parts."""
    return any(_part_allows(part.upper(), value, lowest, highest) for part in field.split(","))


def _part_allows(part: str, value: int, lowest: int, highest: int) -> bool:
    span, _, step = part.partition("/")
    if span in ("*", "?"):
        first, last = lowest, highest
    else:
        ends = [int(_NAMES.get(end, end)) for end in span.split("-")]
        first, last = ends[0], ends[-1] if len(ends) > 1 or not step else highest
    return first <= value <= last and (value - first) % int(step or 1) == 0


@lru_cache(_CACHED)
def _is_due(expression: str, wall: tuple[int, int, int, int, int]) -> bool:
    fields, (minute, hour, day, month, weekday) = expression.split(), wall
    if not (_allows(fields[0], minute, 0, 59) and _allows(fields[1], hour, 0, 23) and _allows(fields[3], month, 1, 12)):
        return False
    on_day, on_weekday = _allows(fields[2], day, 1, 31), _allows(fields[4], weekday, 0, 6)
    if fields[2] in ("*", "?") or fields[4] in ("*", "?"):
        return on_day and on_weekday
    return on_day or on_weekday


@lru_cache(_CACHED)
def _wall(zone: str, instant: datetime) -> tuple[int, int, int, int, int]:
    wall = instant.astimezone(ZoneInfo(zone))
    return wall.minute, wall.hour, wall.day, wall.month, (wall.weekday() + _SUNDAY_FIRST) % 7


def walk(expressions: list[str], zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Return the due minutes by checking the wall clock of every minute of a time window."""
    minutes = (after + number * _MINUTE for number in range(1, (until - after) // _MINUTE + 1))
    return [minute for minute in minutes if any(_is_due(one, _wall(zone, minute)) for one in expressions)]
