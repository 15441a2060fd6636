"""When a receiver is tried again, and what its answer to a message decides. The time is an argument."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto

import msgspec

# Tests divide the times that they would wait for.
SPEED = float(os.environ.get("DAGBOOK_TEST_ALERT_SPEED", "1"))
_JITTER = 0.2
GIVEN_UP_SECONDS = 24 * 3600  # after which a message is tried no more
# Seconds that a channel has been failing, and the pause before its next try then; the first ones are 5, 10, 20, 30.
_PAUSES = ((3, 5), (10, 10), (28, 20), (900, 30), (7_200, 120))
_LONGEST_PAUSE, _LONGEST_RETRY_AFTER = 600, 3600
_OWN_TRIES, _OWN_PAUSES = 3, (60, 300)  # of a message that its receiver refuses
_OF_CHANNEL = frozenset({401, 403, 404, 408, 410, 425, 429})
_SUCCESSES, _CLIENT_ERRORS = range(200, 300), range(400, 500)


def lasting(seconds: float) -> timedelta:
    """Return a time that is waited for."""
    return timedelta(seconds=seconds / SPEED)


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

    @property
    def outcome(self) -> str:
        """What became of the message, for metrics."""
        return {Fate.SENT: "sent", Fate.GIVEN_UP: "failed"}.get(self, "retried")


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


def jitter() -> float:
    """Return a factor for a pause, between 0.8 and 1.2."""
    return random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret


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
