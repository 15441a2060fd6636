"""Many instants as text: a list of runs has thousands."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

_QUARTER = 900  # seconds; no zone's offset changes within a quarter of an hour
_MOST = 20_000
_IN_HOUR = tuple(f"{second // 60:02}:{second % 60:02}" for second in range(3600))


class Times:
    """Writes instants in one zone, as ``present.time_text`` does, and remembers what is the same for many of them."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._quarters: dict[int, tuple[str, int, str]] = {}

    def text(self, seconds: int | None) -> str:
        """Write whole seconds since 1970 as RFC 3339; nothing for None."""
        if seconds is None:
            return ""
        number = seconds // _QUARTER
        begin, in_hour, end = self._quarters.get(number) or self._learn(number)
        return f"{begin}{_IN_HOUR[in_hour + seconds % _QUARTER]}{end}"

    def _learn(self, number: int) -> tuple[str, int, str]:
        """Work out date and hour, the place in the hour where a quarter begins, and the offset."""
        if len(self._quarters) >= _MOST:
            self._quarters.clear()
        local = datetime.fromtimestamp(number * _QUARTER, UTC).astimezone(self._zone)
        offset = local.isoformat(timespec="seconds")[len("2000-01-01T00:00:00") :]
        known = (f"{local:%Y-%m-%dT%H:}", local.minute * 60 + local.second, "Z" if offset == "+00:00" else offset)
        self._quarters[number] = known
        return known
