"""Values of fields: times as RFC 3339, cached since a list of runs has thousands of instants, and what is left out."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_QUARTER = 900  # seconds; no zone's offset changes within a quarter of an hour
_MAX_QUARTERS = 20_000
_IN_HOUR = tuple(f"{second // 60:02}:{second % 60:02}" for second in range(3600))
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)


@functools.lru_cache
def formatter_for(zone: tzinfo) -> TimeFormatter:
    return TimeFormatter(zone)


class TimeFormatter:
    """Formatter of instants in one zone as RFC 3339 with whole seconds; it caches the text of each quarter hour."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._quarters: dict[int, tuple[str, int, str]] = {}

    def text(self, instant: datetime | int | None, missing: str = "") -> str:
        """Format an instant, or milliseconds since 1970; ``missing`` is returned for None."""
        if instant is None:
            return missing
        seconds = instant // 1000 if isinstance(instant, int) else (instant - _EPOCH) // _SECOND
        number = seconds // _QUARTER
        begin, in_hour, end = self._quarters.get(number) or self._add(number)
        return f"{begin}{_IN_HOUR[in_hour + seconds % _QUARTER]}{end}"

    def _add(self, number: int) -> tuple[str, int, str]:
        """Compute date and hour, the second in the hour where a quarter starts, and the offset."""
        if len(self._quarters) >= _MAX_QUARTERS:
            self._quarters.clear()
        local = datetime.fromtimestamp(number * _QUARTER, UTC).astimezone(self._zone)
        offset = local.isoformat(timespec="seconds")[len("2000-01-01T00:00:00") :]
        known = (f"{local:%Y-%m-%dT%H:}", local.minute * 60 + local.second, "Z" if offset == "+00:00" else offset)
        self._quarters[number] = known
        return known


def time_text(instant: datetime | int | None, zone: tzinfo, missing: str = "") -> str:
    """Format an instant, or milliseconds since 1970, as RFC 3339 with whole seconds in the server's zone."""
    return formatter_for(zone).text(instant, missing)


def precise_time(instant: datetime, zone: tzinfo) -> str:
    """Format an instant as RFC 3339 with milliseconds."""
    return instant.astimezone(zone).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_text(instant: datetime) -> str:
    """Format an instant as RFC 3339 in UTC with microseconds, as users' times are (api-behaviour 1.5)."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def or_unset(value: T | None) -> T | UnsetType:
    """Return UNSET, which omits a field, for an empty value: empty text, zero, False, empty list or None."""
    return value or UNSET


def present_row(kind: type[S], row: msgspec.Struct, zone: tzinfo, **others: object) -> S:
    """Make a schema of the fields of a row with the same names: instants as text, and nothing for what is empty."""
    values = {name: getattr(row, name) for name in kind.__struct_fields__ if name not in others and hasattr(row, name)}
    shown = {name: time_text(value, zone) if isinstance(value, datetime) else value for name, value in values.items()}
    return kind(**{name: value for name, value in shown.items() if value not in (None, "")}, **others)
