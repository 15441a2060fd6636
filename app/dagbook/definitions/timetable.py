"""The schedules of all stored DAGs, parsed once per text, and their upcoming firings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import dag_access, schedules
from dagbook.db.repositories.dag_access import EVERYTHING, Sight
from dagbook.db.repositories.schedules import ScheduledDagRow
from dagbook.definitions.next_starts import firings
from dagbook.spec.time.schedule import KINDS, NO_SCHEDULE, ParsedSchedule, read_schedule

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
    """The limits of a list of firings: end, number, number per kind and DAG, and what is visible."""

    until: datetime | None = None
    limit: int
    per_dag: int | None = None
    sight: Sight = EVERYTHING


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
        # A redacted text has unknown schedules, which is not the same as no schedule.
        found = await asyncio.to_thread(
            lambda: {key: read_schedule(text) if text else None for key, text in texts.items()}
        )
        for key in missing:
            timing = found.get(key)
            self._schedules[key] = timing if timing is not None else await self._last_valid(used[key])

    async def _last_valid(self, dag: int) -> ParsedSchedule:
        def work(connection: ReadConnection) -> list[str]:
            return schedules.find_earlier_texts(connection, dag, _EARLIER_REVISIONS)

        texts = await self._database.read(work)

        def read() -> ParsedSchedule:
            return next((timing for timing in map(read_schedule, texts) if timing is not None), NO_SCHEDULE)

        return await asyncio.to_thread(read)

    async def upcoming(self, now: datetime, query: UpcomingQuery) -> list[UpcomingFiring]:
        """Return the upcoming firings after an instant, in order; ties by file name. Suspended DAGs are included."""
        found = await self.read()
        if query.sight:
            names = {scheduled.dag.dag_name for scheduled in found}
            visible = await self._database.read(
                lambda connection: dag_access.find_visible(connection, names, query.sight)
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
