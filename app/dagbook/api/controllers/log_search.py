"""Search in the logs of a run's steps (extension of the contract)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.providers import provide_services
from dagbook.api.schemas.run_logs import LogHit, LogHits
from dagbook.api.services import SubRunKey
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import NodeRow, RunRow
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten
from dagbook.logs.search import LogSearch, SearchQuery, check_query, log_streams, read_position
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.queries import find_run, find_sub_run
from dagbook.runs.service.rerun_service import unknown_step

_STREAMS = {"stdout": (STDOUT,), "stderr": (STDERR,), None: (STDOUT, STDERR)}


class LogSearchServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the search in logs."""

    database: Database
    log_search: LogSearch


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A search in a run's logs: query, step and streams."""

    query: SearchQuery
    step: str | None
    streams: tuple[int, ...]


def provide_log_query(
    q: parameters.Query,
    step: parameters.Step = None,
    stream: parameters.EitherStream = None,
    regex: parameters.IsRegex = False,
    limit: parameters.PageLimit = 100,
    after: parameters.After = None,
) -> LogQuery:
    """Make the query; raises BadRequestError."""
    check_query(q)
    position = read_position(after) if after else None
    query = SearchQuery(text=q, is_expression=regex, limit=limit, after=position)
    return LogQuery(query=query, step=step or None, streams=_STREAMS[stream])


async def _search(services: LogSearchServices, run: RunRow, log_query: LogQuery) -> LogHits:
    def read(connection: ReadConnection) -> tuple[Sequence[NodeRow], dict[StreamKey, int]]:
        nodes = runs.get_nodes(connection, run.id, run.attempt)
        return nodes, logs.find_streams(connection, run.id)

    nodes, known = await services.database.read(read)
    streams = log_streams(nodes, known, log_query.streams)
    if log_query.step is not None:
        _check_step(run, nodes, log_query.step)
        streams = [stream for stream in streams if stream.step == log_query.step]
    page = await services.log_search.find(streams, log_query.query)
    given = {name: value for name, value in msgspec.structs.asdict(page).items() if value is not None}
    return LogHits(**given | {"hits": [LogHit(**msgspec.structs.asdict(hit)) for hit in page.hits]})


def _check_step(run: RunRow, nodes: Sequence[NodeRow], step: str) -> None:
    node = next((node for node in nodes if node.name == step), None)
    if node is None:
        raise unknown_step(run, step)
    if node.started_at is None:
        raise NotFoundError(f"step {shorten(step)} has not run, so it has no log")


class LogSearchController(Controller):
    path = "/dag-runs/{name:str}/{dagRunId:str}"
    dependencies = provide_services(LogSearchServices, log_query=provide_log_query)

    @get("/log/search", operation_id="searchDAGRunLogs", requires=Requires.READ, responses=errors(404))
    async def search_logs(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[LogSearchServices],
        log_query: NamedDependency[LogQuery],
    ) -> LogHits:
        """Find the log lines of a run that contain a text, ignoring case, or with ``regex`` match an expression."""
        run = await services.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
        return await _search(services, run, log_query)

    @get(
        "/sub-dag-runs/{subDAGRunId:str}/log/search",
        operation_id="searchSubDAGRunLogs",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def search_sub_run_logs(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        services: NamedDependency[LogSearchServices],
        log_query: NamedDependency[LogQuery],
    ) -> LogHits:
        """Find the log lines of a sub-run, as searchDAGRunLogs does."""

        def read(connection: ReadConnection) -> RunRow:
            return find_sub_run(connection, sub_run_key.name, sub_run_key.root, sub_run_key.sub_run)

        return await _search(services, await services.database.read_inline(read), log_query)
