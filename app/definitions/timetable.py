"""The schedules of all stored DAGs, read once for each text, and what comes next by them."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from app.db.database import Database, ReadConnection
from app.db.repositories import schedules
from app.db.repositories.reading import Row
from app.spec.schedule import KINDS, NO_SCHEDULE, CronEntry, ParsedSchedule, read_schedule

_EARLIER_REVISIONS = 20  # that are looked through for one that can be read


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """A stored DAG with its schedules."""

    dag: Row
    timing: ParsedSchedule


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a schedule wants at an instant."""

    at: datetime
    kind: str
    expression: str
    zone: str
    dag: Row


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what comes: up to an instant, at most so much, and of each kind of each DAG at most so much."""

    until: datetime | None = None
    limit: int
    per_dag: int | None = None


class Timetable:
    """Remembers what texts say about their schedules, by their hashes; changes are seen at once, by other hashes."""

    def __init__(self, database: Database, zone: ZoneInfo) -> None:
        self._database = database
        self._timings: dict[str, ParsedSchedule] = {}
        self.zone = zone

    async def read(self) -> list[Timed]:
        """Return the stored DAGs that have schedules, by their keys.

        Those of a text that cannot be read any more are those of the last revision that can.
        """
        dags = await self._database.read(schedules.find_dags)
        await self._learn(dags)
        timed = (Timed(dag=dag, timing=self._timings.get(dag["definition_hash"], NO_SCHEDULE)) for dag in dags)
        return [one for one in timed if not one.timing.is_empty]

    async def _learn(self, dags: Sequence[Row]) -> None:
        used = {dag["definition_hash"]: dag["id"] for dag in dags}
        self._timings = {key: timing for key, timing in self._timings.items() if key in used}
        missing = [key for key in used if key not in self._timings]
        if not missing:
            return
        texts = await self._database.read(lambda connection: schedules.find_texts(connection, missing))
        found = await asyncio.to_thread(_read_all, texts)
        for key in missing:
            timing = found.get(key)
            self._timings[key] = timing if timing is not None else await self._earlier(used[key])

    async def _earlier(self, dag: int) -> ParsedSchedule:
        def work(connection: ReadConnection) -> list[str]:
            return schedules.find_earlier_texts(connection, dag, _EARLIER_REVISIONS)

        read = (read_schedule(text) for text in await self._database.read(work))
        return next((timing for timing in read if timing is not None), NO_SCHEDULE)

    async def upcoming(self, now: datetime, wanted: Wanted) -> list[Coming]:
        """Return what comes next after an instant, in order."""
        coming = upcoming(await self.read(), now, self.zone, wanted.per_dag)
        return await asyncio.to_thread(_first, coming, wanted)


def _read_all(texts: Mapping[str, str]) -> dict[str, ParsedSchedule | None]:
    # A redacted text says nothing, which is not the same as saying that there is no schedule.
    return {key: read_schedule(text) if text else None for key, text in texts.items()}


def _first(coming: Iterator[Coming], wanted: Wanted) -> list[Coming]:
    found: list[Coming] = []
    for one in coming:
        if len(found) == wanted.limit or (wanted.until is not None and one.at > wanted.until):
            break
        found.append(one)
    return found


def upcoming(dags: Iterable[Timed], now: datetime, zone: ZoneInfo, per_dag: int | None = None) -> Iterator[Coming]:
    """Give what comes after an instant, in order, of each kind of each DAG at most so much; ties by file name. Pure."""
    given: Counter[tuple[str, str]] = Counter()
    # The number keeps two expressions of one DAG apart, so that nothing behind it is ever compared.
    waiting: list[tuple[datetime, str, int, CronEntry, str, Row]] = []
    for timed in dags:
        for number, (kind, entry) in enumerate(_entries(timed.timing)):
            _push(waiting, (now, timed.dag["file_name"], number, entry, kind, timed.dag), zone)
    while waiting:
        first = heapq.heappop(waiting)
        at, name, _, entry, kind, dag = first
        if given[name, kind] == per_dag:
            continue
        given[name, kind] += 1
        yield Coming(at=at, kind=kind, expression=entry.expression, zone=(entry.cron.zone or zone).key, dag=dag)
        _push(waiting, first, zone)


def _entries(timing: ParsedSchedule) -> list[tuple[str, CronEntry]]:
    return [(kind, entry) for kind in reversed(KINDS) for entry in timing.entries(kind)]


def _push(
    waiting: list[tuple[datetime, str, int, CronEntry, str, Row]],
    before: tuple[datetime, str, int, CronEntry, str, Row],
    zone: ZoneInfo,
) -> None:
    following = before[3].next(before[0], zone)
    if following is not None:
        heapq.heappush(waiting, (following, *before[1:]))
