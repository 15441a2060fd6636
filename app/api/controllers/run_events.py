"""A run's history (extension of the contract): everything that happened to it, page by page."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from app.api import params
from app.api.answers import errors
from app.api.controllers.runs import find_run
from app.api.controllers.sub_runs import find_sub_run
from app.api.deps import AppServices, SubRunKey
from app.api.present_events import run_event
from app.api.schemas.run_events import RunEvents
from app.auth.roles import Requires
from app.db.database import ReadConnection
from app.db.repositories import history
from app.db.repositories.reading import Row

_RUN = "/dag-runs/{name:str}/{dagRunId:str}"


@get(_RUN + "/events", operation_id="listDAGRunEvents", requires=Requires.READ, responses=errors(404))
async def list_run_events(
    name: params.DagName,
    dag_run_id: params.DagRunId,
    parts: NamedDependency[AppServices],
    after: params.AfterNumber = 0,
    limit: params.PageLimit = 100,
) -> RunEvents:
    """Return what happened to a run and its steps, over all attempts, in order, behind the event ``after``."""
    return await parts.database.read(
        lambda connection: _read(connection, parts, find_run(connection, name, dag_run_id), after, limit)
    )


@get(
    _RUN + "/sub-dag-runs/{subDAGRunId:str}/events",
    operation_id="listSubDAGRunEvents",
    requires=Requires.READ,
    responses=errors(404),
)
async def list_sub_run_events(
    sub_run_key: NamedDependency[SubRunKey],
    parts: NamedDependency[AppServices],
    after: params.AfterNumber = 0,
    limit: params.PageLimit = 100,
) -> RunEvents:
    """Return what happened to a sub-run, as of other runs."""

    def read(connection: ReadConnection) -> RunEvents:
        return _read(connection, parts, find_sub_run(connection, sub_run_key), after, limit)

    return await parts.database.read(read)


def _read(connection: ReadConnection, parts: AppServices, run: Row, after: int, limit: int) -> RunEvents:
    rows = history.find_events(connection, run["id"], after, limit + 1)
    page = rows[:limit]
    names = history.find_node_names(connection, run["id"], {row["attempt"] for row in page}) if page else {}
    found = RunEvents(events=[run_event(row, names, parts.zone) for row in page])
    if len(rows) > limit:
        found.next = page[-1]["seq"]
    return found


HANDLERS = [list_run_events, list_sub_run_events]
