"""Limits of retention, and the settings that they come from. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dagbook.db.repositories.retention import LimitsRow, StoredLimits
from dagbook.errors import BadRequestError

NO_LIMIT = -1
DAY_SECONDS = 86_400
_MOST = {"days": 36_500, "runs": 10**9, "log_bytes": 2**50}
_FIELDS = {"log_bytes": "logBytes"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the finished runs of a DAG; None is no limit.

    With ``newest`` the newest run may be deleted too, however young: only on explicit request.
    """

    seconds: float | None = None
    runs: int | None = None
    log_bytes: int | None = None
    newest: bool = False

    @property
    def may_delete_newest(self) -> bool:
        """Whether the newest run is deleted by age: with a limit of 0 it is kept until the next run."""
        return self.newest or bool(self.seconds)


class TotalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of all runs together; None is no limit."""

    runs: int | None = None
    log_bytes: int | None = None


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The retention of one source: -1 is no limit, None is not set."""

    days: int | None = None
    runs: int | None = None
    log_bytes: int | None = None

    @classmethod
    def of(cls, row: StoredLimits | LimitsRow) -> RetentionSettings:
        return cls(days=row.days, runs=row.runs, log_bytes=row.log_bytes)

    def with_fallback(self, other: RetentionSettings) -> RetentionSettings:
        """Use the values of another source where this one has none."""
        return RetentionSettings(
            days=other.days if self.days is None else self.days,
            runs=other.runs if self.runs is None else self.runs,
            log_bytes=other.log_bytes if self.log_bytes is None else self.log_bytes,
        )

    @property
    def limits(self) -> Limits:
        days = _limit(self.days)
        return Limits(
            seconds=None if days is None else days * DAY_SECONDS,
            runs=_limit(self.runs),
            log_bytes=_limit(self.log_bytes),
        )


def _limit(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def merge_lenient(several: Iterable[RetentionSettings]) -> RetentionSettings:
    """Return the most lenient settings, of several stored DAGs of one name."""
    found = list(several)
    return RetentionSettings(
        days=_longest(settings.days for settings in found),
        runs=_longest(settings.runs for settings in found),
        log_bytes=_longest(settings.log_bytes for settings in found),
    )


def _longest(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return NO_LIMIT if min(known) < 0 else max(known)


def check_limits(settings: RetentionSettings) -> None:
    """Check limits. Raises BadRequestError."""
    for name, most in _MOST.items():
        value = getattr(settings, name)
        if value is not None and not NO_LIMIT <= value <= most:
            field = _FIELDS.get(name, name)
            raise BadRequestError(f"{field}: {value} does not fit; write 0 to {most}, or {NO_LIMIT} for no limit")
