"""How long the runs of a DAG are kept, as its text, people and settings say it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

NO_LIMIT = -1
DAY_SECONDS = 86_400


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that is kept of a DAG's runs that are over; None is no limit.

    ``newest`` says whether the newest run may go, too, however young: only when somebody asks for just that.
    """

    seconds: float | None = None
    runs: int | None = None
    log_bytes: int | None = None
    newest: bool = False

    @property
    def lets_newest_go(self) -> bool:
        """Whether age takes the newest run along: what is kept for no time at all is there until the next run."""
        return self.newest or bool(self.seconds)


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The most that is kept of all runs together; None is no limit."""

    runs: int | None = None
    log_bytes: int | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one place says about runs: -1 is no limit, None says nothing."""

    days: int | None = None
    runs: int | None = None
    log_bytes: int | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Said:
        """Read it from a row or another mapping with these names."""
        return cls(days=row["days"], runs=row["runs"], log_bytes=row["log_bytes"])

    def or_else(self, other: Said) -> Said:
        """Let another place speak where this one says nothing."""
        return Said(
            days=other.days if self.days is None else self.days,
            runs=other.runs if self.runs is None else self.runs,
            log_bytes=other.log_bytes if self.log_bytes is None else self.log_bytes,
        )

    @property
    def limits(self) -> Limits:
        """Take it as limits."""
        days = _limit(self.days)
        return Limits(
            seconds=None if days is None else days * DAY_SECONDS,
            runs=_limit(self.runs),
            log_bytes=_limit(self.log_bytes),
        )


def _limit(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def most_lenient(several: Iterable[Said]) -> Said:
    """Keep what any of several stored DAGs of one name wants to be kept."""
    found = list(several)
    return Said(
        days=_longest(said.days for said in found),
        runs=_longest(said.runs for said in found),
        log_bytes=_longest(said.log_bytes for said in found),
    )


def _longest(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return NO_LIMIT if min(known) < 0 else max(known)
