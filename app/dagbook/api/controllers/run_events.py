"""Events of a run, in pages (extension of the contract)."""

from __future__ import annotations

from datetime import tzinfo
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.events import run_event
from dagbook.api.providers import provide_services
from dagbook.api.schemas.run_logs import RunEvents
from dagbook.api.services import SubRunKey
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.runs.queries import find_run, find_sub_run


class RunEventServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the events of runs."""

    database: Database
    zone: ZoneInfo


def _read(connection: ReadConnection, zone: tzinfo, run: RunRow, after: int, limit: int) -> RunEvents:
    rows = run_history.find_events(connection, run.id, after, limit + 1)
    page = rows[:limit]
    names = run_history.find_node_names(connection, run.id, {row.attempt for row in page}) if page else {}
    found = RunEvents(events=[run_event(row, names, zone) for row in page])
    if len(rows) > limit:
        found.next = page[-1].seq
    return found


class RunEventsController(Controller):
    path = "/dag-runs/{name:str}/{dagRunId:str}"
    dependencies = provide_services(RunEventServices)

    @get("/events", operation_id="listDAGRunEvents", requires=Requires.READ, responses=errors(404))
    async def list_run_events(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RunEventServices],
        after: parameters.AfterNumber = 0,
        limit: parameters.PageLimit = 100,
    ) -> RunEvents:
        """List the events of a run and its steps over all attempts, in order, after the event ``after``."""
        return await services.database.read(
            lambda connection: _read(connection, services.zone, find_run(connection, name, dag_run_id), after, limit)
        )

    @get(
        "/sub-dag-runs/{subDAGRunId:str}/events",
        operation_id="listSubDAGRunEvents",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def list_sub_run_events(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        services: NamedDependency[RunEventServices],
        after: parameters.AfterNumber = 0,
        limit: parameters.PageLimit = 100,
    ) -> RunEvents:
        """List the events of a sub-run, as listDAGRunEvents does."""

        def read(connection: ReadConnection) -> RunEvents:
            return _read(
                connection,
                services.zone,
                find_sub_run(connection, sub_run_key.name, sub_run_key.root, sub_run_key.sub_run),
                after,
                limit,
            )

        return await services.database.read(read)
