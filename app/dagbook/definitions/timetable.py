"""The schedules of all stored DAGs, parsed once per text, and their upcoming firings."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import schedules
from dagbook.db.repositories.schedules import ScheduledDagRow
from dagbook.spec.time.schedule import KINDS, NO_SCHEDULE, CronEntry, ParsedSchedule, read_schedule

_EARLIER_REVISIONS = 20  # that are searched for a valid one


class ScheduledDag(msgspec.Struct, frozen=True, kw_only=True):
    """A stored DAG with its schedules."""

    dag: ScheduledDagRow
    timing: ParsedSchedule


class UpcomingFiring(msgspec.Struct, frozen=True, kw_only=True):
    """An upcoming firing of a schedule."""

    at: datetime
    kind: str
    expression: str
    zone: str
    dag: ScheduledDagRow


class UpcomingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a list of firings: end, number, and number per kind and DAG."""

    until: datetime | None = None
    limit: int
    per_dag: int | None = None


class Timetable:
    """Caches parsed schedules by the hash of their text; a changed text has another hash, so it is seen at once."""

    def __init__(self, database: Database, zone: ZoneInfo) -> None:
        self._database = database
        self._schedules: dict[str, ParsedSchedule] = {}
        self.zone = zone

    async def read(self) -> list[ScheduledDag]:
        """Return the stored DAGs with schedules, by their keys.

        A DAG whose text is invalid has the schedules of its last valid revision.
        """
        dags = await self._database.read(schedules.find_dags)
        await self._load(dags)
        scheduled = (
            ScheduledDag(dag=dag, timing=self._schedules.get(dag.definition_hash, NO_SCHEDULE)) for dag in dags
        )
        return [one for one in scheduled if not one.timing.is_empty]

    async def _load(self, dags: Sequence[ScheduledDagRow]) -> None:
        used = {dag.definition_hash: dag.id for dag in dags}
        self._schedules = {key: timing for key, timing in self._schedules.items() if key in used}
        missing = [key for key in used if key not in self._schedules]
        if not missing:
            return
        texts = await self._database.read(lambda connection: schedules.find_texts(connection, missing))
        found = await asyncio.to_thread(_read_all, texts)
        for key in missing:
            timing = found.get(key)
            self._schedules[key] = timing if timing is not None else await self._last_valid(used[key])

    async def _last_valid(self, dag: int) -> ParsedSchedule:
        def work(connection: ReadConnection) -> list[str]:
            return schedules.find_earlier_texts(connection, dag, _EARLIER_REVISIONS)

        read = (read_schedule(text) for text in await self._database.read(work))
        return next((timing for timing in read if timing is not None), NO_SCHEDULE)

    async def upcoming(self, now: datetime, query: UpcomingQuery) -> list[UpcomingFiring]:
        """Return the upcoming firings after an instant, in order."""
        firings = upcoming(await self.read(), now, self.zone, query.per_dag)
        return await asyncio.to_thread(_first, firings, query)


def _read_all(texts: Mapping[str, str]) -> dict[str, ParsedSchedule | None]:
    # A redacted text has unknown schedules, which is not the same as no schedule.
    return {key: read_schedule(text) if text else None for key, text in texts.items()}


def _first(firings: Iterator[UpcomingFiring], query: UpcomingQuery) -> list[UpcomingFiring]:
    found: list[UpcomingFiring] = []
    for one in firings:
        if len(found) == query.limit or (query.until is not None and one.at > query.until):
            break
        found.append(one)
    return found


def upcoming(
    dags: Iterable[ScheduledDag], now: datetime, zone: ZoneInfo, per_dag: int | None = None
) -> Iterator[UpcomingFiring]:
    """Yield firings after an instant in order, at most ``per_dag`` per kind and DAG; ties by file name. Pure."""
    counts: Counter[tuple[str, str]] = Counter()
    # The number is unique per DAG, so that the elements after it are never compared.
    heap: list[tuple[datetime, str, int, CronEntry, str, ScheduledDagRow]] = []
    for scheduled in dags:
        for number, (kind, entry) in enumerate(_entries(scheduled.timing)):
            _push(heap, (now, scheduled.dag.file_name, number, entry, kind, scheduled.dag), zone)
    while heap:
        first = heapq.heappop(heap)
        at, name, _, entry, kind, dag = first
        if counts[name, kind] == per_dag:
            continue
        counts[name, kind] += 1
        yield UpcomingFiring(at=at, kind=kind, expression=entry.expression, zone=(entry.cron.zone or zone).key, dag=dag)
        _push(heap, first, zone)


def _entries(timing: ParsedSchedule) -> list[tuple[str, CronEntry]]:
    return [(kind, entry) for kind in reversed(KINDS) for entry in timing.entries(kind)]


def _push(
    heap: list[tuple[datetime, str, int, CronEntry, str, ScheduledDagRow]],
    before: tuple[datetime, str, int, CronEntry, str, ScheduledDagRow],
    zone: ZoneInfo,
) -> None:
    following = before[3].next(before[0], zone)
    if following is not None:
        heapq.heappush(heap, (following, *before[1:]))
