"""When messages are due. The time is an argument."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_QUIET = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)(?: +(\S{1,64}))?", re.ASCII)
LONGEST_SECONDS = 366 * 24 * 3600  # of a time that a user gives


def format_seconds(seconds: int) -> str:
    """Return a time as it is written: ``1h30m``."""
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


class Quiet(msgspec.Struct, frozen=True):
    """Hours of each day in which nothing is sent; they may pass midnight."""

    start: time
    end: time
    zone: ZoneInfo


def parse_quiet(text: str) -> Quiet:
    """Read ``22:00-07:00 Europe/Berlin``, by default in UTC; raises ValueError."""
    found = _QUIET.fullmatch(text.strip())
    if found is None:
        raise ValueError("is no span of hours; write one such as 22:00-07:00 Europe/Berlin")
    try:
        start, end = map(time.fromisoformat, found.group(1, 2))
    except ValueError:
        raise ValueError("is no span of hours; hours go from 00:00 to 23:59") from None
    if start == end:
        raise ValueError("begins when it ends; to send nothing at all, disable the rule")
    try:
        return Quiet(start, end, ZoneInfo(found[3] or "UTC"))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{found[3]} is no time zone; write one such as Europe/Berlin") from None


def due_at(at: datetime, delay_seconds: int, quiet: str | None) -> datetime:
    """Return when a message about something that happened ``at`` a time is due, not before the end of quiet hours."""
    due = at + timedelta(seconds=delay_seconds)
    return after_quiet(due, parse_quiet(quiet)) if quiet else due


def after_quiet(at: datetime, quiet: Quiet) -> datetime:
    """Return a time, or the end of the quiet hours that it is in."""
    local = at.astimezone(quiet.zone)
    now, overnight = local.time(), quiet.start > quiet.end
    inside = now >= quiet.start or now < quiet.end if overnight else quiet.start <= now < quiet.end
    if not inside:
        return at
    day = local.date() + timedelta(days=1 if overnight and now >= quiet.start else 0)
    return datetime.combine(day, quiet.end, quiet.zone).astimezone(UTC)
