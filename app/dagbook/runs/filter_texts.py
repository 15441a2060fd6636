"""Texts of filters of runs, as the API takes them in queries and in batches; each error names its field. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.spec.time.duration import duration_seconds

_LATEST_SECONDS = 253_402_300_799  # the end of the year 9999
_MAX_DURATION = 1e9


def split_param(text: str) -> tuple[str, str]:
    """Return name and value of a param; raises BadRequestError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadRequestError(f"param: {shorten(text)} is no NAME=value")
    return name, value


def read_seconds(field: str, text: str | None) -> float | None:
    """Return the seconds of a duration, None without one; raises BadRequestError."""
    if not text:
        return None
    seconds = duration_seconds(f"{text}s" if text[-1].isdigit() else text)
    if seconds is None or not 0 <= seconds <= _MAX_DURATION:
        raise BadRequestError(
            f"{field}: {shorten(text)} is no duration; write seconds, or for instance 90s, 5m or 1h30m"
        )
    return seconds


def read_instant(field: str, seconds: int | None) -> datetime | None:
    """Convert a Unix time in seconds, None without one; raises BadRequestError."""
    if seconds is None:
        return None
    if not 0 <= seconds <= _LATEST_SECONDS:
        raise BadRequestError(f"{field}: {seconds} is no Unix time in seconds")
    return datetime.fromtimestamp(seconds, UTC)
