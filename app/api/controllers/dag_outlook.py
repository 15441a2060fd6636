"""What is to be expected of a stored DAG: how long it runs, and when (tag dags)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from litestar import get
from litestar.di import NamedDependency

from app.api import params
from app.api.answers import errors
from app.api.controllers.dags import load, require_dag
from app.api.deps import AppServices
from app.api.next_runs import next_starts
from app.api.present import next_start
from app.api.schemas.dags import DAGStatistics, NextStarts
from app.api.statistics import statistics
from app.auth.roles import Requires
from app.db.repositories import history
from app.errors import BadRequestError

_MOST_LAST, _MOST_IN_DAYS, _MOST_DAYS = 1000, 10_000, 3650
_MAX_STARTS = 100


@get("/dags/{fileName:str}/statistics", operation_id="getDAGStatistics", requires=Requires.READ, responses=errors(404))
async def get_statistics(
    file_name: params.FileName,
    parts: NamedDependency[AppServices],
    last: params.Last = None,
    days: params.Days = None,
) -> DAGStatistics:
    """Say how the last runs of a DAG that are over have ended and how long they took: 100, or those of some days."""
    _check("last", last, _MOST_LAST)
    _check("days", days, _MOST_DAYS)
    row = await require_dag(parts, file_name)
    most = last or (100 if days is None else _MOST_IN_DAYS)
    since = None if days is None else parts.now() - timedelta(days=days)
    ended = await parts.database.read(
        lambda connection: history.find_finished(connection, row["dag_name"], most + 1, since)
    )
    return statistics(row["dag_name"], ended[:most], parts.zone, more=len(ended) > most)


@get(
    "/dags/{fileName:str}/schedule/next", operation_id="getDAGNextStarts", requires=Requires.READ, responses=errors(404)
)
async def get_next_starts(
    file_name: params.FileName, parts: NamedDependency[AppServices], count: params.Count = 5
) -> NextStarts:
    """Say when a DAG starts next by its schedules, whether or not they rest; each in the zone of its schedule."""
    _check("count", count, _MAX_STARTS)
    row = await require_dag(parts, file_name)
    expressions = load(parts, row).definition.dag.schedule.start
    starts = await asyncio.to_thread(next_starts, expressions, parts.now(), parts.zone, count)
    return NextStarts(suspended=row["suspended"], starts=[next_start(start) for start in starts])


def _check(field: str, number: int | None, most: int) -> None:
    if number is not None and not 1 <= number <= most:
        raise BadRequestError(f"{field}: {number} is outside 1 to {most}")


HANDLERS = [get_statistics, get_next_starts]
