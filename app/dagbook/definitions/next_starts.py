"""When stored DAGs start next by their schedules, worked out once for each schedule and each of its instants."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from dagbook.spec.reading.load import load
from dagbook.spec.time import cron
from dagbook.spec.time.schedule import may_schedule

_MAX_CACHED = 50_000  # schedules and texts that are remembered; beyond it everything is worked out anew


class NextStart(msgspec.Struct, frozen=True):
    """An instant, in the zone of the schedule that gives it."""

    at: datetime
    expression: str


def next_starts(expressions: Sequence[str], now: datetime, zone: tzinfo, count: int) -> list[NextStart]:
    """Give the next starts after now by any of the schedules, in order; those of one instant are one."""
    waiting = [start for text in dict.fromkeys(expressions) if (start := _start_after(text, now, zone)) is not None]
    heap = [(start.at.astimezone(UTC), place, start) for place, start in enumerate(waiting)]
    heapq.heapify(heap)
    found: list[NextStart] = []
    while heap and len(found) < count:
        instant, place, start = heap[0]
        if not found or found[-1].at != start.at:
            found.append(start)
        after = _start_after(start.expression, instant, zone)
        if after is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (after.at.astimezone(UTC), place, after))
    return found


def _start_after(expression: str, instant: datetime, zone: tzinfo) -> NextStart | None:
    known = _zone(zone)
    fired = _next_after(expression, instant, known)
    return None if fired is None else NextStart(fired.astimezone(cron.parse(expression).zone or known), expression)


def _zone(zone: tzinfo) -> ZoneInfo:
    return zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC")


class NextStartCache:
    """Remembers what texts say about their schedules, and when each schedule comes next."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = _zone(zone)
        self._schedules: dict[str, tuple[str, ...]] = {}  # by hash
        self._instants: dict[str, datetime | None] = {}  # by expression

    def missing(self, hashes: Iterable[str]) -> list[str]:
        """Give those of the definitions that have to be learned first."""
        return [content_hash for content_hash in dict.fromkeys(hashes) if content_hash not in self._schedules]

    def load(self, texts: Mapping[str, str]) -> None:
        """Read what texts, by their hashes, say about their schedules."""
        if len(self._schedules) + len(self._instants) > _MAX_CACHED:
            self._schedules.clear()
            self._instants.clear()
        for content_hash, text in texts.items():
            dag = load(text, metadata_only=True).definition.dag if may_schedule(text) else None
            self._schedules[content_hash] = dag.schedule.start if dag else ()

    def get(self, content_hash: str, now: datetime) -> datetime | None:
        """Tell when a definition, which was learned, starts next: the earliest instant of all its schedules."""
        instants = (self._next(expression, now) for expression in self._schedules.get(content_hash, ()))
        return min((instant for instant in instants if instant is not None), default=None)

    def _next(self, expression: str, now: datetime) -> datetime | None:
        """Tell when a schedule comes next; that stays so until it has come."""
        known = self._instants.get(expression)
        if expression not in self._instants or (known is not None and known <= now):
            self._instants[expression] = known = _next_after(expression, now, self._zone)
        return known


def _next_after(expression: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    try:
        return cron.next_after(cron.parse(expression), now, zone)
    except ValueError:
        return None  # a broken schedule is among the DAG's errors
