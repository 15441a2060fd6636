"""When schedules of stored DAGs fire: the one place that answers it, for the scheduler, the API and its clients.

An answer takes the zone of each expression into account, else that of the server. It does not depend on the state of
the DAG: of a suspended one the answer is when it would start, and a caller shows both.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories import schedules
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.schedules import ScheduledDagRow
from dagbook.spec.time.schedule import (
    KINDS,
    NO_SCHEDULE,
    CronEntry,
    Kind,
    ParsedSchedule,
    read_entries,
    read_schedule,
)

Owner = TypeVar("Owner")
_MINUTE = timedelta(minutes=1)
_FIRST_SPAN = 2 * _MINUTE
_EARLIER_REVISIONS = 20  # that are searched for a valid one
_PARSED_AT_ONCE = 50  # texts
_MAX_CACHED = 50_000  # schedules, and as many expressions, beside those of the stored DAGs
_REDACTED = ParsedSchedule(is_valid=False)  # unknown schedules are not the same as none


class NextStart(msgspec.Struct, frozen=True):
    """A scheduled start, in the time zone of its schedule."""

    at: datetime
    expression: str


class ScheduledDag(msgspec.Struct, frozen=True, kw_only=True):
    """A stored DAG with its schedules."""

    dag: ScheduledDagRow
    timing: ParsedSchedule


class UpcomingFiring(msgspec.Struct, frozen=True, kw_only=True):
    """An upcoming firing of a schedule."""

    at: datetime
    kind: Kind
    expression: str
    zone: str
    dag: ScheduledDagRow


class UpcomingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a list of firings: end, number, number per kind and DAG, and what is visible."""

    until: datetime | None = None
    limit: int
    per_dag: int | None = None
    visibility: Visibility = EVERYTHING


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


def minutes_of(entries: Sequence[CronEntry], after: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the minutes of a window at which expressions fire, in order, each once."""
    if until - after == _MINUTE:
        return [until] if any(entry.is_at(until, zone) for entry in entries) else []
    found = firings([(entry, None) for entry in entries], after, zone)
    return list(dict.fromkeys(minute for minute, _, _ in takewhile(lambda firing: firing[0] <= until, found)))


def zone_at(entries: Iterable[CronEntry], minute: datetime, zone: ZoneInfo) -> ZoneInfo:
    """Return the zone of the first expression that fires in a minute, else that of the server."""
    return next((entry.cron.zone or zone for entry in entries if entry.is_at(minute, zone)), zone)


def newest(
    entries: Sequence[CronEntry], after: datetime, until: datetime, zone: ZoneInfo, limit: int = 1
) -> list[datetime]:
    """Return the last minutes of a window at which expressions fire, at most ``limit``, in order.

    The search begins at the end of the window: there may have been no server for a year.
    """
    span = _FIRST_SPAN
    while True:
        start = max(after, until - span)
        found = minutes_of(entries, start, until, zone)
        if len(found) >= limit or start == after:
            return found[-limit:]
        span *= 2


def next_starts(expressions: Sequence[str], now: datetime, zone: ZoneInfo, count: int) -> list[NextStart]:
    """Return the next starts of all schedules after now, in order; several at the same time are one."""
    found: dict[datetime, NextStart] = {}
    for at, entry, _ in firings(((entry, None) for entry in read_entries(expressions)), now, zone):
        if at not in found:
            if len(found) == count:
                break
            found[at] = NextStart(at.astimezone(entry.cron.zone or zone), entry.expression)
    return list(found.values())


class ScheduleCache:
    """Parsed schedules by the hash of their text, and the next firing of each expression. Pure."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._schedules: dict[str, ParsedSchedule] = {}
        self._instants: dict[str, datetime | None] = {}
        self._kept = 0  # texts of stored DAGs

    def find(self, hashes: Iterable[str]) -> dict[str, ParsedSchedule]:
        """Return the schedules of those texts that are cached."""
        return {key: self._schedules[key] for key in hashes if key in self._schedules}

    def add(self, schedules: Mapping[str, ParsedSchedule]) -> None:
        """Cache schedules; beyond a bound all others are forgotten, but callers have those that they have found."""
        if len(self._schedules) > self._kept + _MAX_CACHED:
            self._schedules.clear()
        self._schedules |= schedules

    def keep(self, hashes: Collection[str]) -> None:
        """Forget the schedules of all other texts."""
        self._kept = len(hashes)
        self._schedules = {key: timing for key, timing in self._schedules.items() if key in hashes}

    def next_start(self, timing: ParsedSchedule, now: datetime) -> datetime | None:
        """Return the next start of a text: the earliest of all its schedules."""
        if len(self._instants) > self._kept + _MAX_CACHED:
            self._instants.clear()
        found = []
        for entry in timing.start:
            known = self._instants.get(entry.expression)
            if entry.expression not in self._instants or (known is not None and known <= now):
                self._instants[entry.expression] = known = entry.next(now, self._zone)
            if known is not None:
                found.append(known)
        return min(found, default=None)


def parse_schedules(texts: Mapping[str, str]) -> dict[str, ParsedSchedule]:
    """Read the schedules of texts, by hash; a redacted text is empty."""
    return {key: read_schedule(text) if text else _REDACTED for key, text in texts.items()}


class Timetable:
    """The schedules of all stored DAGs; a changed text has another hash, so it is seen at once."""

    def __init__(self, database: Database, zone: ZoneInfo) -> None:
        self._database = database
        self._cache = ScheduleCache(zone)
        self._last_valid: dict[str, ParsedSchedule] = {}  # by the hash of an invalid text
        self.zone = zone

    async def read(self) -> list[ScheduledDag]:
        """Return the stored DAGs with schedules, by their keys.

        A DAG whose text is invalid has the schedules of its last valid revision.
        """
        dags = await self._database.read(schedules.find_dags)
        used = {dag.definition_hash: dag.id for dag in dags}
        self._cache.keep(used)
        found = await self._load(used)
        # Callers that read at the same time share what they find, and none depends on what another one forgets.
        last_valid = {key: timing for key, timing in self._last_valid.items() if key in used}
        for key, dag in used.items():
            if key not in last_valid and not found[key].is_valid:
                last_valid[key] = await self._read_last_valid(dag)
        self._last_valid = last_valid
        found |= last_valid
        scheduled = (ScheduledDag(dag=dag, timing=found[dag.definition_hash]) for dag in dags)
        return [one for one in scheduled if not one.timing.is_empty]

    async def _load(self, hashes: Collection[str]) -> dict[str, ParsedSchedule]:
        """Return the schedules of texts, those of an invalid one as far as they can be read."""
        found = self._cache.find(hashes)
        missing = [key for key in hashes if key not in found]
        for begin in range(0, len(missing), _PARSED_AT_ONCE):
            keys = missing[begin : begin + _PARSED_AT_ONCE]
            texts = await self._database.read(partial(schedules.find_texts, hashes=keys))
            parsed = await asyncio.to_thread(parse_schedules, {key: texts.get(key, "") for key in keys})
            self._cache.add(parsed)
            found |= parsed
        return found

    async def _read_last_valid(self, dag: int) -> ParsedSchedule:
        texts = await self._database.read(partial(schedules.find_earlier_texts, dag=dag, most=_EARLIER_REVISIONS))

        def read() -> ParsedSchedule:
            return next((timing for timing in map(read_schedule, texts) if timing.is_valid), NO_SCHEDULE)

        return await asyncio.to_thread(read)

    async def find_next_starts(self, hashes: Iterable[str], now: datetime) -> dict[str, datetime | None]:
        """Return the next start of each text, by hash; that of an invalid one by what can be read of it."""
        found = await self._load(list(dict.fromkeys(hashes)))
        return {key: self._cache.next_start(timing, now) for key, timing in found.items()}

    async def upcoming(self, now: datetime, query: UpcomingQuery) -> list[UpcomingFiring]:
        """Return the upcoming firings after an instant, in order; ties by file name. Suspended DAGs are included."""
        found = await self.read()
        if query.visibility:
            names = {scheduled.dag.dag_name for scheduled in found}
            visible = await self._database.read(
                lambda connection: dag_access.find_visible(connection, names, query.visibility)
            )
            found = [scheduled for scheduled in found if scheduled.dag.dag_name in visible]
        dags = sorted(found, key=lambda scheduled: scheduled.dag.file_name)
        return await asyncio.to_thread(_find_upcoming, dags, now, self.zone, query)


def _find_upcoming(
    dags: Sequence[ScheduledDag], now: datetime, zone: ZoneInfo, query: UpcomingQuery
) -> list[UpcomingFiring]:
    entries = (
        (entry, (one.dag, kind)) for one in dags for kind in reversed(KINDS) for entry in one.timing.entries(kind)
    )
    found: list[UpcomingFiring] = []
    for at, entry, (dag, kind) in firings(entries, now, zone, per_owner=query.per_dag):
        if len(found) == query.limit or (query.until is not None and at > query.until):
            break
        zone_name = (entry.cron.zone or zone).key
        found.append(UpcomingFiring(at=at, kind=kind, expression=entry.expression, zone=zone_name, dag=dag))
    return found
