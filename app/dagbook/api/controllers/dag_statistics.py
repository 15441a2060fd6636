"""Run statistics and next starts of a stored DAG (tag dags)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.present import next_start
from dagbook.api.presenters.statistics import statistics
from dagbook.api.schemas.dags import DAGStatistics, NextStarts
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires
from dagbook.db.repositories.runs import run_history
from dagbook.definitions.next_starts import next_starts
from dagbook.definitions.queries import load_stored, require_dag
from dagbook.errors import BadRequestError

_MAX_LAST, _MAX_IN_DAYS, _MAX_DAYS = 1000, 10_000, 3650
_MAX_STARTS = 100


def _check(field: str, number: int | None, most: int) -> None:
    if number is not None and not 1 <= number <= most:
        raise BadRequestError(f"{field}: {number} is outside 1 to {most}")


class DagStatisticsController(Controller):
    path = "/dags/{fileName:str}"

    @get(
        "/statistics",
        operation_id="getDAGStatistics",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_statistics(
        self,
        file_name: parameters.FileName,
        parts: NamedDependency[AppServices],
        last: parameters.Last = None,
        days: parameters.Days = None,
    ) -> DAGStatistics:
        """Return outcomes and durations of the last finished runs of a DAG: 100, ``last``, or of ``days`` days."""
        _check("last", last, _MAX_LAST)
        _check("days", days, _MAX_DAYS)
        row = await require_dag(parts.database, file_name)
        most = last or (100 if days is None else _MAX_IN_DAYS)
        since = None if days is None else parts.now() - timedelta(days=days)
        finished = await parts.database.read(
            lambda connection: run_history.find_finished(connection, row.dag_name, most + 1, since)
        )
        return statistics(row.dag_name, finished[:most], parts.zone, more=len(finished) > most)

    @get(
        "/schedule/next",
        operation_id="getDAGNextStarts",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def get_next_starts(
        self, file_name: parameters.FileName, parts: NamedDependency[AppServices], count: parameters.Count = 5
    ) -> NextStarts:
        """Return the next scheduled starts of a DAG, also of a suspended one; each in the time zone of its schedule."""
        _check("count", count, _MAX_STARTS)
        row = await require_dag(parts.database, file_name)
        expressions = load_stored(parts.library, row).definition.dag.schedule.start
        starts = await asyncio.to_thread(next_starts, expressions, parts.now(), parts.zone, count)
        return NextStarts(suspended=row.suspended, starts=[next_start(start) for start in starts])
