"""When schedules of stored DAGs fire next: the one place that answers it, for the scheduler, the API and its clients.

An answer takes the zone of each expression into account, else that of the server. It does not depend on the state of
the DAG: of a suspended one the answer is when it would start, and a caller shows both.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from dagbook.spec.reading.load import load
from dagbook.spec.time import cron
from dagbook.spec.time.schedule import CronEntry, may_schedule

Owner = TypeVar("Owner")
_MAX_CACHED = 50_000  # schedules and texts; beyond it the cache is cleared


class NextStart(msgspec.Struct, frozen=True):
    """A scheduled start, in the time zone of its schedule."""

    at: datetime
    expression: str


def firings(
    entries: Iterable[tuple[CronEntry, Owner]], after: datetime, zone: ZoneInfo, per_owner: int | None = None
) -> Iterator[tuple[datetime, CronEntry, Owner]]:
    """Yield the firings of schedules after an instant, in order and in UTC, at most ``per_owner`` of each owner.

    Firings at the same time are in the order of the schedules.
    """
    counts: Counter[Owner] = Counter()
    # The number is unique, so that the elements after it are never compared.
    heap: list[tuple[datetime, int, CronEntry, Owner]] = []
    for number, (entry, owner) in enumerate(entries):
        first = entry.next(after, zone)
        if first is not None:
            heap.append((first, number, entry, owner))
    heapq.heapify(heap)
    while heap:
        at, number, entry, owner = heapq.heappop(heap)
        if per_owner is not None:
            if counts[owner] == per_owner:
                continue  # without its next firing: the list ends when all owners have theirs
            counts[owner] += 1
        yield at, entry, owner
        following = entry.next(at, zone)
        if following is not None:
            heapq.heappush(heap, (following, number, entry, owner))


def next_starts(expressions: Sequence[str], now: datetime, zone: ZoneInfo, count: int) -> list[NextStart]:
    """Return the next starts of all schedules after now, in order; several at the same time are one."""
    found: dict[datetime, NextStart] = {}
    for at, entry, _ in firings(_read_entries(expressions), now, zone):
        if at not in found:
            if len(found) == count:
                break
            found[at] = NextStart(at.astimezone(entry.cron.zone or zone), entry.expression)
    return list(found.values())


def _read_entries(expressions: Iterable[str]) -> Iterator[tuple[CronEntry, None]]:
    """Parse expressions; a broken one is left out, since it is among the DAG's errors."""
    for expression in dict.fromkeys(expressions):
        with suppress(ValueError):
            yield CronEntry(expression, cron.parse(expression)), None


class NextStartCache:
    """Cache of the schedules of definitions, and of the next start of each schedule."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
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
        instants = []
        for expression in self._schedules.get(content_hash, ()):
            known = self._instants.get(expression)
            if expression not in self._instants or (known is not None and known <= now):
                first = next(firings(_read_entries([expression]), now, self._zone), None)
                self._instants[expression] = known = first[0] if first is not None else None
            if known is not None:
                instants.append(known)
        return min(instants, default=None)
