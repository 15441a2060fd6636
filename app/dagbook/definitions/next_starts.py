"""Next scheduled starts of stored DAGs, computed once per schedule until they have passed."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from dagbook.spec.reading.load import load
from dagbook.spec.time import cron
from dagbook.spec.time.schedule import may_schedule

_MAX_CACHED = 50_000  # schedules and texts; beyond it the cache is cleared


class NextStart(msgspec.Struct, frozen=True):
    """A scheduled start, in the time zone of its schedule."""

    at: datetime
    expression: str


def next_starts(expressions: Sequence[str], now: datetime, zone: tzinfo, count: int) -> list[NextStart]:
    """Return the next starts of all schedules after now, in order; several at the same time are one."""
    starts = [start for text in dict.fromkeys(expressions) if (start := _start_after(text, now, zone)) is not None]
    heap = [(start.at.astimezone(UTC), number, start) for number, start in enumerate(starts)]
    heapq.heapify(heap)
    found: list[NextStart] = []
    while heap and len(found) < count:
        instant, number, start = heap[0]
        if not found or found[-1].at != start.at:
            found.append(start)
        after = _start_after(start.expression, instant, zone)
        if after is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (after.at.astimezone(UTC), number, after))
    return found


def _start_after(expression: str, instant: datetime, zone: tzinfo) -> NextStart | None:
    known = _zone(zone)
    fired = _next_after(expression, instant, known)
    return None if fired is None else NextStart(fired.astimezone(cron.parse(expression).zone or known), expression)


def _zone(zone: tzinfo) -> ZoneInfo:
    return zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC")


class NextStartCache:
    """Cache of the schedules of definitions, and of the next start of each schedule."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = _zone(zone)
        self._schedules: dict[str, tuple[str, ...]] = {}  # by hash
        self._instants: dict[str, datetime | None] = {}  # by expression

    def missing(self, hashes: Iterable[str]) -> list[str]:
        """Return the hashes of definitions that are not loaded yet."""
        return [content_hash for content_hash in dict.fromkeys(hashes) if content_hash not in self._schedules]

    def load(self, texts: Mapping[str, str]) -> None:
        """Read the schedules of texts, given by hash."""
        if len(self._schedules) + len(self._instants) > _MAX_CACHED:
            self._schedules.clear()
            self._instants.clear()
        for content_hash, text in texts.items():
            dag = load(text, metadata_only=True).definition.dag if may_schedule(text) else None
            self._schedules[content_hash] = dag.schedule.start if dag else ()

    def get(self, content_hash: str, now: datetime) -> datetime | None:
        """Return the next start of a loaded definition: the earliest of all its schedules."""
        instants = (self._next(expression, now) for expression in self._schedules.get(content_hash, ()))
        return min((instant for instant in instants if instant is not None), default=None)

    def _next(self, expression: str, now: datetime) -> datetime | None:
        """Return the next start of a schedule, cached until it has passed."""
        known = self._instants.get(expression)
        if expression not in self._instants or (known is not None and known <= now):
            self._instants[expression] = known = _next_after(expression, now, self._zone)
        return known


def _next_after(expression: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    try:
        return cron.next_after(cron.parse(expression), now, zone)
    except ValueError:
        return None  # a broken schedule is among the DAG's errors
