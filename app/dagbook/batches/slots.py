"""The scheduled times of a DAG in a range, and what became of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from dagbook.db.repositories.batches.starts import StartRow
from dagbook.db.repositories.schedules import FAILED, MISSED
from dagbook.definitions.timetable import firings
from dagbook.engine.status import BAD_ENDS
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.spec.time.schedule import CronEntry

MISSING, UNKNOWN = "missing", "unknown"
KNOWN_FOR = timedelta(days=90)  # as long as the outcomes of scheduled times are kept
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_LONGEST = timedelta(days=3_660)
_YEARS = range(1970, 9999)  # a day after the last, in any zone, is still a time
Bound = date | datetime


class Due(msgspec.Struct, frozen=True):
    """A minute at which a DAG was due to start, and the zone of the expression that says so."""

    minute: datetime
    zone: ZoneInfo

    @property
    def local(self) -> datetime:
        """The minute in the zone of the schedule."""
        return self.minute.astimezone(self.zone)


class DueSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled time, and what became of it: the status of its run, or why there is none."""

    due: Due
    outcome: str
    start: StartRow | None = None
    batch: int | None = None  # the open one that has it

    @property
    def run(self) -> int | None:
        """The key of its run."""
        return None if self.start is None else self.start.run

    @property
    def run_name(self) -> str | None:
        """The id of its run."""
        return None if self.start is None else self.start.run_name

    @property
    def has_failed(self) -> bool:
        return self.start is not None and self.start.status in BAD_ENDS

    @property
    def has_ended(self) -> bool:
        """Whether its run has finished."""
        return self.start is not None and self.start.status is not None and self.start.status.is_final


def read_bound(text: str, field: str) -> Bound:
    """Read a day, or a time with a zone; raises BadRequestError naming the field."""
    at: Bound | None = None
    with suppress(ValueError):
        is_day = len(text) == len("2026-03-01")
        at = date.fromisoformat(text) if is_day else datetime.fromisoformat(text)
    has_no_zone = isinstance(at, datetime) and at.tzinfo is None
    if at is None or has_no_zone or at.year not in _YEARS:
        raise BadRequestError(
            f"{field}: {shorten(text)} is no day, or time with a zone, of the years {_YEARS[0]} to {_YEARS[-1]}; "
            "write 2026-03-01, or 2026-03-01T02:00:00+01:00"
        )
    return at


def find_due(
    entries: Sequence[CronEntry], first: Bound, last: Bound, until: datetime, zone: ZoneInfo, most: int
) -> list[Due]:
    """Return the minutes between two bounds, both inclusive, and not after ``until``, at which expressions fire.

    A day is one of the zone of the expression. Raises BadRequestError if the bounds are the wrong way round, or if
    there are more than ``most``.
    """
    bounds = {}
    for each in {entry.cron.zone or zone for entry in entries}:
        low = first if isinstance(first, datetime) else datetime.combine(first, time(), each)
        high = last if isinstance(last, datetime) else datetime.combine(last + _DAY, time(), each) - _MINUTE
        bounds[each] = (low, high)
    begin, end = min(low for low, _ in bounds.values()), max(high for _, high in bounds.values())
    if begin > end:
        raise BadRequestError(f"from: {first.isoformat()} is after to, {last.isoformat()}; give the earlier one first")
    end = min(until, end)
    if end - begin > _LONGEST:
        raise BadRequestError(f"from: is more than {_LONGEST.days:,} days before to; give a shorter range")
    found: dict[datetime, Due] = {}
    for at, _, own in firings([(entry, entry.cron.zone or zone) for entry in entries], begin - _MINUTE, zone):
        if at > end:
            break
        if bounds[own][0] <= at <= bounds[own][1]:
            found.setdefault(at, Due(at, own))
        if len(found) > most:
            raise BadRequestError(f"from: there are more than {most:,} scheduled times until to; give a shorter range")
    return list(found.values())


def find_slots(
    due: Sequence[Due], starts: Mapping[datetime, StartRow], holders: Mapping[datetime, int], now: datetime
) -> list[DueSlot]:
    """Return what became of scheduled times, by the starts that are recorded and the open batches that hold one."""
    return [
        DueSlot(
            due=each,
            outcome=_outcome(starts.get(each.minute), is_known=each.minute > now - KNOWN_FOR),
            start=starts.get(each.minute),
            batch=holders.get(each.minute),
        )
        for each in due
    ]


def _outcome(start: StartRow | None, *, is_known: bool) -> str:
    """Return the status of the run, or why there is none: a time of which nothing is recorded had no server."""
    if start is None:
        return MISSING if is_known else UNKNOWN
    if start.status is not None:
        return start.status.label
    if start.outcome in (MISSED, FAILED):
        return MISSING
    return start.outcome if start.has_no_run else UNKNOWN
