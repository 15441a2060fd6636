"""Run history, statistics and next starts of a stored DAG (tag dags)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from litestar import Controller
from litestar.di import NamedDependency

from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.dags import next_start
from dagbook.api.presenters.fields import or_unset
from dagbook.api.presenters.history import day_starts, days_of, grid, statistics
from dagbook.api.presenters.runs import StepCache, run_details
from dagbook.api.routes import get, permission
from dagbook.api.run_reads import latest_details, read_details
from dagbook.api.schemas.dags import DAGDays, DAGHistory, DAGRunOfDAG, DAGStatistics, NextStarts
from dagbook.api.services import DagServices
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals, dags
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.runs.run_history import HistoryNode
from dagbook.db.repositories.runs.runs import RunWithState
from dagbook.definitions.queries import read_stored, require_dag
from dagbook.definitions.timetable import next_starts
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import LATEST, strip_suffix
from dagbook.runs.queries import RunRef, dags_of
from dagbook.spec.model import Dag

Services = NamedDependency[DagServices]

_MAX_RUNS = 30
_MAX_LAST, _MAX_IN_DAYS, _MAX_DAYS = 1000, 10_000, 3650
_MAX_STARTS = 100
_MAX_COUNTED_DAYS, _MAX_COUNTED = 366, 200_000


class _History(NamedTuple):
    """The newest runs of a DAG, their nodes and definitions, and the keys of those that wait for an approval."""

    newest: Sequence[RunWithState]
    nodes: dict[int, list[HistoryNode]]
    definitions: dict[tuple[str, str], Dag]  # by DAG name and hash
    waiting: Collection[int]


def _check(field: str, number: int | None, most: int) -> None:
    if number is not None and not 1 <= number <= most:
        raise BadRequestError(f"{field}: {number} is outside 1 to {most}")


class DagHistoryController(Controller):
    path = "/dags/{fileName:str}"
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @get("/dag-runs", "getDAGDAGRunHistory", 404)
    async def get_history(self, file_name: parameters.FileName, services: Services) -> DAGHistory:
        """Return the newest runs of a DAG, also of a deleted one, and the status of each step in each of them."""
        name = strip_suffix(file_name)
        if "\0" in name:
            return DAGHistory(dag_runs=[], grid_data=[])

        def read(connection: ReadConnection) -> _History:
            dag_name = dags.get_dag_name(connection, name) or name
            newest = run_history.find_newest(connection, dag_name, _MAX_RUNS)
            nodes = run_history.find_nodes(connection, [run.id for run in newest])
            waiting = approvals.find_waiting(connection, [run.id for run in newest if run.status is RunStatus.RUNNING])
            return _History(newest, nodes, dags_of(connection, services.library, newest), waiting)

        found, nodes, definitions, waiting = await services.database.read_inline(read)
        steps = {text: StepCache(dag) for text, dag in definitions.items()}
        shown = [
            run_details(run, run, nodes[run.id], steps[run.dag_name, run.definition_hash], services.zone)
            for run in found
        ]
        for run, details in zip(found, shown, strict=True):
            details.waiting_for_approval = or_unset(run.id in waiting)
        return DAGHistory(dag_runs=shown, grid_data=grid([nodes[run.id] for run in found]))

    @get("/dag-runs/{dagRunId:str}", "getDAGDAGRunDetails", 404)
    async def get_run_of_dag(
        self, file_name: parameters.FileName, dag_run_id: parameters.DagRunId, services: Services, caller: CurrentCaller
    ) -> DAGRunOfDAG:
        """Return a run of a stored DAG; ``latest`` is a placeholder when there is none."""
        row = await require_dag(services.database, file_name)
        if dag_run_id == LATEST:
            return DAGRunOfDAG(
                dag_run=await latest_details(services, row, (await read_stored(services.library, row)).definition.dag)
            )
        find = RunRef(row.dag_name, dag_run_id).find
        return DAGRunOfDAG(dag_run=await read_details(services, find, caller))

    @get("/statistics", "getDAGStatistics", 404)
    async def get_statistics(
        self,
        file_name: parameters.FileName,
        services: Services,
        last: parameters.Last = None,
        days: parameters.Days = None,
    ) -> DAGStatistics:
        """Return outcomes and durations of the last finished runs of a DAG: 100, ``last``, or of ``days`` days."""
        _check("last", last, _MAX_LAST)
        _check("days", days, _MAX_DAYS)
        row = await require_dag(services.database, file_name)
        most = last or (100 if days is None else _MAX_IN_DAYS)
        since = None if days is None else services.now() - timedelta(days=days)
        finished = await services.database.read(
            lambda connection: run_history.find_finished(connection, row.dag_name, most + 1, since)
        )
        return statistics(row.dag_name, finished[:most], services.zone, more=len(finished) > most)

    @get("/days", "getDAGDays", 404)
    async def get_days(
        self,
        file_name: parameters.FileName,
        services: Services,
        days: parameters.HistoryDays = 56,
        zone: parameters.Zone = None,
    ) -> DAGDays:
        """Count the runs of a DAG by day and status, over the last ``days`` days of a time zone."""
        _check("days", days, _MAX_COUNTED_DAYS)
        starts = day_starts(services.now(), days, parameters.read_zone(zone) if zone else services.zone)
        row = await require_dag(services.database, file_name)
        counted = await services.database.read(
            lambda connection: run_history.count_by_quarter(connection, row.dag_name, _MAX_COUNTED, starts[0])
        )
        return days_of(row.dag_name, counted, starts, _MAX_COUNTED)

    @get("/schedule/next", "getDAGNextStarts", 404)
    async def get_next_starts(
        self, file_name: parameters.FileName, services: Services, count: parameters.Count = 5
    ) -> NextStarts:
        """Return the next scheduled starts of a DAG, also of a suspended one; each in the time zone of its schedule."""
        _check("count", count, _MAX_STARTS)
        row = await require_dag(services.database, file_name)
        expressions = (await read_stored(services.library, row)).definition.dag.schedule.start
        starts = await asyncio.to_thread(next_starts, expressions, services.now(), services.zone, count)
        return NextStarts(suspended=row.suspended, starts=[next_start(start) for start in starts])
