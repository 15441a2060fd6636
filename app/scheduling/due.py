"""What of a DAG is due in a stretch of time, and what of it is to be done. Pure (runtime 23).

Time is whole minutes in UTC. A stretch goes from ``after``, which is not in it, to ``until``, which is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from app.definitions.settings import MAX_CATCH_UP
from app.spec.schedule import KINDS, CronEntry, ParsedSchedule

MINUTE = timedelta(minutes=1)
_START = "start"
_FIRST_LOOK = timedelta(hours=1)


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a DAG that is due: started, stopped or restarted at a minute.

    ``made_up`` is a start whose minute has passed without a server, ``missed`` one that stays undone for that reason.
    """

    minute: datetime
    kind: str
    made_up: bool = False
    missed: bool = False


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """What has passed since the last look at the clock; ``alive`` says that the one who looked is still the same.

    It is longer than a minute after a time without a server, and when a server was asleep or its clock set forward.
    """

    after: datetime
    until: datetime
    alive: bool

    @property
    def is_one_minute(self) -> bool:
        """Whether nothing lies between this look and the last one."""
        return self.until - self.after <= MINUTE


class Catchup(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the missed starts are made up (none, latest or all), and since when they count."""

    policy: str = "none"
    window: timedelta = timedelta()
    since: datetime | None = None  # the schedule was not there before


def cut(instant: datetime) -> datetime:
    """Give the beginning of an instant's minute."""
    return instant.replace(second=0, microsecond=0)


def stretch(last: datetime | None, mark: datetime | None, now: datetime) -> Stretch | None:
    """Give the time to look at; None when its minute has been looked at.

    ``last`` is the minute that this server has looked at last, ``mark`` any server. After a clock was set back only the
    minute that it shows now is looked at: what has fired in it before has its rows.
    """
    minute = cut(now)
    if minute == last:
        return None
    before = mark if last is None else last
    after = before if before is not None and before < minute else minute - MINUTE
    return Stretch(after=after, until=minute, alive=last is not None)


def due(timing: ParsedSchedule, after: datetime, until: datetime, zone: ZoneInfo) -> list[Firing]:
    """Give everything that is due in a stretch, in order; what several expressions name is due once."""
    found = [
        Firing(minute=minute, kind=kind)
        for kind in KINDS
        for minute in _minutes(timing.entries(kind), after, until, zone)
    ]
    return sorted(found, key=_order)


def _order(firing: Firing) -> tuple[datetime, int]:
    return firing.minute, KINDS.index(firing.kind)


def _minutes(entries: Sequence[CronEntry], after: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    if until - after == MINUTE:
        return [until] if any(entry.is_at(until, zone) for entry in entries) else []
    return sorted({minute for entry in entries for minute in _walk(entry, after, until, zone)})


def _walk(entry: CronEntry, after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    minute = entry.next(after, zone)
    while minute is not None and minute <= until:
        yield minute
        minute = entry.next(minute, zone)


def newest(
    entries: Sequence[CronEntry], after: datetime, until: datetime, zone: ZoneInfo, most: int = 1
) -> list[datetime]:
    """Give the last minutes of a stretch at which expressions fire, at most so many, in order.

    It is searched from its end: a server may have been away for a year.
    """
    span = _FIRST_LOOK
    while True:
        begin = max(after, until - span)
        found = _minutes(entries, begin, until, zone)
        if len(found) >= most or begin == after:
            return found[-most:]
        span *= 2


def plan(timing: ParsedSchedule, catchup: Catchup, passed: Stretch, zone: ZoneInfo) -> list[Firing]:
    """Say what is to be done of what was due in a stretch, in order.

    In one minute it is all. Of a longer stretch a server that was alive does the last of each kind, late, and one that
    was not does what is due now; missed starts are made up as the DAG wants it, else the last of them is named.
    """
    if passed.is_one_minute:
        return due(timing, passed.until - MINUTE, passed.until, zone)
    others = [firing for kind in KINDS if kind != _START for firing in _late(timing, kind, passed, zone)]
    if catchup.policy == "none" or not timing.start:
        starts = _late(timing, _START, passed, zone) + ([] if passed.alive else _missed(timing, catchup, passed, zone))
    else:
        starts = _made_up(timing, catchup, passed, zone)
    return sorted([*others, *starts], key=_order)


def _late(timing: ParsedSchedule, kind: str, passed: Stretch, zone: ZoneInfo) -> list[Firing]:
    begin = passed.after if passed.alive else passed.until - MINUTE
    return [Firing(minute=minute, kind=kind) for minute in newest(timing.entries(kind), begin, passed.until, zone)]


def _missed(timing: ParsedSchedule, catchup: Catchup, passed: Stretch, zone: ZoneInfo) -> list[Firing]:
    minutes = newest(timing.start, _begin(catchup.since, passed), passed.until - MINUTE, zone)
    return [Firing(minute=minute, kind=_START, missed=True) for minute in minutes]


def _made_up(timing: ParsedSchedule, catchup: Catchup, passed: Stretch, zone: ZoneInfo) -> list[Firing]:
    begin = max(_begin(catchup.since, passed), passed.until - catchup.window - MINUTE)
    most = 1 if catchup.policy == "latest" else MAX_CATCH_UP
    minutes = newest(timing.start, begin, passed.until, zone, most)
    return [Firing(minute=minute, kind=_START, made_up=minutes != [passed.until]) for minute in minutes]


def _begin(since: datetime | None, passed: Stretch) -> datetime:
    """Give where to begin: a schedule was not due before it was there."""
    begin = passed.after if since is None else max(passed.after, cut(since))
    return min(begin, passed.until - MINUTE)


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of a DAG: ``began`` is its start, or its queue time when that was earlier."""

    running: bool
    succeeded: bool
    began: datetime
    started_for: datetime | None = None  # the minute of the start that began it, if a schedule did


def why_not(timing: ParsedSchedule, minute: datetime, latest: Latest | None, now: datetime, zone: ZoneInfo) -> str:
    """Say why a DAG must not be started for a minute; empty when it may (runtime 23.4)."""
    if latest is None:
        return ""
    if latest.running:
        return "its newest run is still running"
    if minute <= cut(latest.began) and latest.began <= now:
        return "its newest run began in this minute, or later"
    if timing.skip_if_successful and latest.succeeded and _began_since(timing.start, minute, latest, zone):
        return "a run has succeeded since the time before (skipIfSuccessful)"
    return ""


def _began_since(entries: Iterable[CronEntry], minute: datetime, latest: Latest, zone: ZoneInfo) -> bool:
    """Whether the newest run began between the time before and this one, and is not the former's own."""
    previous = [_previous(entry, minute, zone) for entry in entries if entry.is_at(minute, zone)]
    return all(before <= latest.began < minute and latest.started_for != before for before in previous)


def _previous(entry: CronEntry, minute: datetime, zone: ZoneInfo) -> datetime:
    """Give the time before, as far away as the one after; a schedule that does not come again has had none."""
    following = entry.next(minute, zone)
    return minute if following is None else minute - (following - minute)
