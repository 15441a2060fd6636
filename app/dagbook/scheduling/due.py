"""Which firings of a DAG are due in a time window, and what is done about each. Pure (runtime 23).

Time is in whole minutes, UTC. A window excludes ``after`` and includes ``until``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from dagbook.db.types import CatchUp
from dagbook.definitions.settings import MAX_CATCH_UP
from dagbook.definitions.timetable import minutes_of, newest
from dagbook.spec.time.schedule import KINDS, CronEntry, Kind, ParsedSchedule

MINUTE = timedelta(minutes=1)
_START: Final = "start"


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """A start, stop or restart of a DAG that is due at a minute.

    ``made_up`` is a start whose minute passed without a server, or while everything was paused, ``resumed``; ``missed``
    is a start without a server that is not caught up.
    """

    minute: datetime
    kind: Kind
    made_up: bool = False
    resumed: bool = False
    missed: bool = False


class TimeWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The minutes since the last tick; ``alive`` is True when this server handled that tick.

    It is longer than a minute after a time without a server, and when a server was suspended or its clock set forward.
    """

    after: datetime
    until: datetime
    alive: bool

    @property
    def is_one_minute(self) -> bool:
        """Whether no minute was skipped since the last tick."""
        return self.until - self.after <= MINUTE


class Catchup(msgspec.Struct, frozen=True, kw_only=True):
    """Which missed starts are caught up (none, latest or all), and the earliest of them."""

    policy: CatchUp = "none"
    window: timedelta = timedelta()
    since: datetime | None = None  # the schedule did not exist before


def floor_minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def time_window(last: datetime | None, mark: datetime | None, now: datetime) -> TimeWindow | None:
    """Return the window to handle; None when the current minute has been handled.

    ``last`` is the minute that this server handled last, ``mark`` that of any server. After a clock was set back the
    window is the current minute: what has fired in it before has its rows.
    """
    minute = floor_minute(now)
    if minute == last:
        return None
    before = mark if last is None else last
    after = before if before is not None and before < minute else minute - MINUTE
    return TimeWindow(after=after, until=minute, alive=last is not None)


def due(timing: ParsedSchedule, after: datetime, until: datetime, zone: ZoneInfo) -> list[Firing]:
    """Return the firings in a window, in order; a minute of several expressions is due once."""
    found = [
        Firing(minute=minute, kind=kind)
        for kind in KINDS
        for minute in minutes_of(timing.entries(kind), after, until, zone)
    ]
    return sorted(found, key=_order)


def _order(firing: Firing) -> tuple[datetime, int]:
    return firing.minute, KINDS.index(firing.kind)


def plan(timing: ParsedSchedule, catchup: Catchup, window: TimeWindow, zone: ZoneInfo) -> list[Firing]:
    """Return the firings of a window to handle, in order.

    In a window of one minute these are all. In a longer one a server that was alive handles the last of each kind,
    late, and one that was not handles what is due now; missed starts are caught up as the DAG's setting says, else the
    last of them is recorded as missed.
    """
    if window.is_one_minute:
        return due(timing, window.until - MINUTE, window.until, zone)
    others = [firing for kind in KINDS if kind != _START for firing in _late(timing, kind, window, zone)]
    # A schedule was not due before it existed.
    since = window.after if catchup.since is None else max(window.after, floor_minute(catchup.since))
    since = min(since, window.until - MINUTE)
    if catchup.policy == "none" or not timing.start:
        starts = _late(timing, _START, window, zone)
        if not window.alive:
            minutes = newest(timing.start, since, window.until - MINUTE, zone)
            starts += [Firing(minute=minute, kind=_START, missed=True) for minute in minutes]
    else:
        earliest = max(since, window.until - catchup.window - MINUTE)
        limit = 1 if catchup.policy == "latest" else MAX_CATCH_UP
        minutes = newest(timing.start, earliest, window.until, zone, limit)
        made_up = minutes != [window.until]
        starts = [Firing(minute=minute, kind=_START, made_up=made_up) for minute in minutes]
    return sorted([*others, *starts], key=_order)


def resume(pending: Collection[datetime], planned: Iterable[Firing], catchup: Catchup, until: datetime) -> list[Firing]:
    """Return which of the starts to make up that a pause of everything has suspended, as if no server had run then.

    ``planned`` are the other firings of the tick: a new start among them is the latest one.
    """
    limit = {"none": 0, "latest": 1, "all": MAX_CATCH_UP}[catchup.policy]
    starts = {each.minute for each in planned if each.kind == _START and not each.missed}
    if catchup.policy == "latest" and not starts <= set(pending):
        limit = 0
    earliest = until - catchup.window - MINUTE
    newest_first = sorted((minute for minute in pending if minute > earliest), reverse=True)
    return [Firing(minute=each, kind=_START, made_up=True, resumed=True) for each in newest_first[:limit][::-1]]


def predates_dag(firing: Firing, created_at: datetime) -> bool:
    """Whether the minute of a firing began before the DAG was stored in it; the first tick of a server may come later.

    Only that minute counts: after a clock that was fast is set back, a DAG may seem to be stored in the future.
    """
    return firing.minute < created_at < firing.minute + MINUTE


def _late(timing: ParsedSchedule, kind: Kind, window: TimeWindow, zone: ZoneInfo) -> list[Firing]:
    start = window.after if window.alive else window.until - MINUTE
    return [Firing(minute=minute, kind=kind) for minute in newest(timing.entries(kind), start, window.until, zone)]


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of a DAG: ``started_at`` is its start, or its queue time when that was earlier."""

    running: bool
    succeeded: bool
    started_at: datetime
    scheduled_for: datetime | None = None  # the minute of the scheduled start that created it, if one did


def skip_reason(timing: ParsedSchedule, minute: datetime, latest: Latest | None, now: datetime, zone: ZoneInfo) -> str:
    """Return the reason why a DAG is not started for a minute; empty when it is (runtime 23.4)."""
    if latest is None:
        return ""
    if latest.running:
        return "its newest run is still running"
    if minute <= floor_minute(latest.started_at) and latest.started_at <= now:
        return "its newest run started in this minute, or later"
    if timing.skip_if_successful and latest.succeeded and _started_since_previous(timing.start, minute, latest, zone):
        return "a run has succeeded since the time before (skipIfSuccessful)"
    return ""


def _started_since_previous(entries: Iterable[CronEntry], minute: datetime, latest: Latest, zone: ZoneInfo) -> bool:
    """Whether the newest run started after the previous scheduled time, and is not the run of that time itself."""
    for entry in entries:
        if entry.is_at(minute, zone):
            # The interval to the next time is assumed to be that to the previous one.
            following = entry.next(minute, zone)
            previous = minute if following is None else minute - (following - minute)
            if not previous <= latest.started_at < minute or latest.scheduled_for == previous:
                return False
    return True
