"""When messages are due, when a channel is tried again, and what an answer decides. The time is an argument."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

# Tests divide the times that they would wait for.
SPEED = float(os.environ.get("DAGBOOK_TEST_ALERT_SPEED", "1"))
JITTER = 0.2
_QUIET = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)(?: +(\S{1,64}))?", re.ASCII)
# Seconds that a channel has been failing, and the pause before its next try then; the first ones are 5, 10, 20, 30.
_PAUSES = ((3, 5), (10, 10), (28, 20), (900, 30), (7_200, 120))
_LONGEST_PAUSE, _LONGEST_RETRY_AFTER = 600, 3600
_OWN_TRIES, _OWN_PAUSES = 3, (60, 300)  # of a message that its receiver refuses
_OF_CHANNEL = frozenset({401, 403, 404, 408, 410, 425, 429})
_SUCCESSES, _CLIENT_ERRORS = range(200, 300), range(400, 500)


def lasting(seconds: float) -> timedelta:
    """Return a time that is waited for."""
    return timedelta(seconds=seconds / SPEED)


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


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a try: the status of HTTP or SMTP, 0 without one, and what is shown of it."""

    code: int = 0
    text: str = ""
    retry_after: str = ""
    is_sent: bool = False
    is_refused: bool = False  # the receiver answers, and does not accept this message


class Fate(Enum):
    """What a try decides."""

    SENT = auto()
    CHANNEL = auto()  # the channel fails: whatever waits for it is tried later
    RETRY = auto()  # the message alone is tried later
    GIVEN_UP = auto()


def of_http(code: int, text: str, headers: Mapping[str, str]) -> Answer:
    """Return the answer of a receiver that was sent a request."""
    return Answer(
        code=code,
        text=f"{code}, not followed" if code in range(300, 400) else text,
        retry_after=headers.get("retry-after", ""),
        is_sent=code in _SUCCESSES,
        is_refused=code in _CLIENT_ERRORS and code not in _OF_CHANNEL,
    )


def decide(answer: Answer, tries: int) -> Fate:
    """Return what an answer decides that a message has got ``tries`` times."""
    if answer.is_sent:
        return Fate.SENT
    if answer.is_refused:
        return Fate.RETRY if tries < _OWN_TRIES else Fate.GIVEN_UP
    return Fate.CHANNEL


def own_pause(tries: int) -> timedelta:
    """Return the pause after the ``tries``-th try of a message that its receiver refuses."""
    return lasting(_OWN_PAUSES[min(tries, len(_OWN_PAUSES)) - 1])


def channel_pause(failing: timedelta, answer: Answer, now: datetime, factor: float) -> timedelta:
    """Return the pause of a channel that has been failing for some time.

    ``factor``, between 0.8 and 1.2, keeps servers from trying at the same moment; it does not apply to what the
    receiver asks for.
    """
    if asked := read_retry_after(answer.retry_after, now):
        return timedelta(seconds=min(asked, _LONGEST_RETRY_AFTER))
    seconds = failing.total_seconds() * SPEED
    return lasting(factor * next((pause for until, pause in _PAUSES if seconds < until), _LONGEST_PAUSE))


def read_retry_after(text: str, now: datetime) -> float:
    """Return the seconds that a header ``Retry-After`` asks for; 0 for none, and for what cannot be read."""
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp(), 0.0)
