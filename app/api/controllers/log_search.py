"""Search in the logs of a run's steps (extension of the contract)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import get
from litestar.di import NamedDependency

from app.api import params
from app.api.answers import errors
from app.api.controllers.runs import find_run
from app.api.controllers.sub_runs import find_sub_run
from app.api.deps import AppServices, SubRunKey
from app.api.log_search import SearchQuery, check_query, log_streams, read_position
from app.api.schemas.log_search import LogHits
from app.auth.roles import Requires
from app.db.database import ReadConnection
from app.db.repositories import logs, runs
from app.db.repositories.logs import StreamKey
from app.db.repositories.reading import Row
from app.errors import NotFoundError
from app.names import shorten
from app.runs.rerun import unknown_step
from app.runs.spool import STDERR, STDOUT

_RUN = "/dag-runs/{name:str}/{dagRunId:str}"
_STREAMS = {"stdout": (STDOUT,), "stderr": (STDERR,), None: (STDOUT, STDERR)}


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a run is looked, and for what."""

    query: SearchQuery
    step: str | None
    streams: tuple[int, ...]


def provide_log_query(
    q: params.Query,
    step: params.Step = None,
    stream: params.EitherStream = None,
    regex: params.IsExpression = False,
    limit: params.PageLimit = 100,
    after: params.After = None,
) -> LogQuery:
    """Gather what is looked for; raises BadRequestError."""
    check_query(q)
    spot = read_position(after) if after else None
    query = SearchQuery(text=q, is_expression=regex, limit=limit, after=spot)
    return LogQuery(query=query, step=step or None, streams=_STREAMS[stream])


@get(_RUN + "/log/search", operation_id="searchDAGRunLogs", requires=Requires.READ, responses=errors(404))
async def search_logs(
    name: params.DagName,
    dag_run_id: params.DagRunId,
    parts: NamedDependency[AppServices],
    log_wish: NamedDependency[LogQuery],
) -> LogHits:
    """Find the lines that hold some words, whatever their case, or with ``regex`` those that match."""
    run = await parts.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
    return await _search(parts, run, log_wish)


@get(
    _RUN + "/sub-dag-runs/{subDAGRunId:str}/log/search",
    operation_id="searchSubDAGRunLogs",
    requires=Requires.READ,
    responses=errors(404),
)
async def search_sub_run_logs(
    sub_run_key: NamedDependency[SubRunKey], parts: NamedDependency[AppServices], log_wish: NamedDependency[LogQuery]
) -> LogHits:
    """Find lines in the logs of a sub-run, as in those of other runs."""

    def read(connection: ReadConnection) -> Row:
        return find_sub_run(connection, sub_run_key)

    return await _search(parts, await parts.database.read_inline(read), log_wish)


async def _search(parts: AppServices, run: Mapping[str, Any], wish: LogQuery) -> LogHits:
    def read(connection: ReadConnection) -> tuple[Sequence[Row], dict[StreamKey, int]]:
        nodes = runs.get_nodes(connection, run["id"], run["attempt"])
        return nodes, logs.find_streams(connection, run["id"])

    nodes, known = await parts.database.read(read)
    found_in = log_streams(nodes, known, wish.streams)
    if wish.step is not None:
        _check_step(run, nodes, wish.step)
        found_in = [source for source in found_in if source.step == wish.step]
    return await parts.log_search.find(found_in, wish.query)


def _check_step(run: Mapping[str, Any], nodes: Sequence[Row], step: str) -> None:
    node = next((node for node in nodes if node["name"] == step), None)
    if node is None:
        raise unknown_step(run, step)
    if node["started_at"] is None:
        raise NotFoundError(f"step {shorten(step)} has not run, so it has no log")


HANDLERS = [search_logs, search_sub_run_logs]
