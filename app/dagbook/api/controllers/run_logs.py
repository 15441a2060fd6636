"""Output of all steps of a run in order of arrival, and search in it (extension of the contract)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.history import precise_time
from dagbook.api.providers import provide_services
from dagbook.api.schemas.run_logs import LogHit, LogHits, LogPiece, LogPieces
from dagbook.api.services import SubRunKey
from dagbook.api.shares import Shares
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.logs import interleaved_logs, logs
from dagbook.db.repositories.logs.interleaved_logs import OutputCursor, OutputRow
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import NodeRow, RunRow
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.logs.search import LogSearch, SearchQuery, check_query, log_streams, read_position
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.queries import find_run, find_sub_run
from dagbook.runs.service.retry import unknown_step

_EPOCH = datetime.fromtimestamp(0, UTC)
_CURSOR = re.compile(r"([0-9]{1,16})\.(-?[0-9]{1,9})\.([0-9]{1,9})")  # microseconds, position, ordinal
_END = "end"
_NAMES: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}


class RunOutputServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the output of runs."""

    database: Database
    zone: ZoneInfo


class OutputRange(msgspec.Struct, frozen=True, kw_only=True):
    """Range of output chunks: the first ones ``after`` a cursor, or the last ones, optionally ``before`` a cursor."""

    limit: int
    after: OutputCursor | None = None
    before: OutputCursor | None = None
    from_end: bool = False


def provide_output_range(
    after: parameters.After = None, before: parameters.BeforePosition = None, limit: parameters.PageLimit = 200
) -> OutputRange:
    """Make the range; raises BadRequestError."""
    if after and before:
        raise BadRequestError("before: is given together with after; give one of them")
    cursor = None if before in (None, "", _END) else read_cursor("before", before)
    return OutputRange(
        limit=limit, after=read_cursor("after", after) if after else None, before=cursor, from_end=bool(before)
    )


def _read(connection: ReadConnection, run: RunRow, output_range: OutputRange, zone: tzinfo) -> LogPieces:
    if output_range.from_end:
        found = interleaved_logs.find_last(connection, run.id, run.attempt, output_range.limit, output_range.before)
        earlier, more = found.more, output_range.before is not None
    else:
        found = interleaved_logs.find_first(connection, run.id, run.attempt, output_range.limit, output_range.after)
        earlier, more = output_range.after is not None, found.more
    return LogPieces(pieces=[_output_chunk(row, zone) for row in found.rows], has_earlier=earlier, has_more=more)


def _output_chunk(row: OutputRow, zone: tzinfo) -> LogPiece:
    microseconds = (row.received_at - _EPOCH) // timedelta(microseconds=1)
    return LogPiece(
        at=precise_time(row.received_at, zone),
        step=row.name,
        stream=_NAMES[row.stream],
        line=row.first_line,
        text=row.text,
        place=f"{microseconds}.{row.position}.{row.ordinal}",  # see read_cursor
    )


def read_cursor(field: str, text: str | None) -> OutputCursor:
    """Parse a chunk's cursor; raises BadRequestError."""
    if text and (match := _CURSOR.fullmatch(text)):
        microseconds, position, ordinal = map(int, match.groups())
        return OutputCursor(_EPOCH + timedelta(microseconds=microseconds), position, ordinal)
    raise BadRequestError(f"{field}: {shorten(text or '')} is not a position in a log; send the place of a piece")


class RunOutputController(Controller):
    path = "/dag-runs/{name:str}/{dagRunId:str}"
    dependencies = provide_services(RunOutputServices, output_range=provide_output_range)

    @get("/log/pieces", operation_id="listDAGRunLogPieces", requires=Requires.READ, responses=errors(404))
    async def list_output(
        self,
        name: parameters.DagName,
        dag_run_id: parameters.DagRunId,
        services: NamedDependency[RunOutputServices],
        output_range: NamedDependency[OutputRange],
    ) -> LogPieces:
        """Return the output of all steps and handlers of a run, both streams, in the order of arrival."""

        def read(connection: ReadConnection) -> LogPieces:
            return _read(connection, find_run(connection, name, dag_run_id), output_range, services.zone)

        return await services.database.read(read)

    @get(
        "/sub-dag-runs/{subDAGRunId:str}/log/pieces",
        operation_id="listSubDAGRunLogPieces",
        requires=Requires.READ,
        responses=errors(404),
    )
    async def list_sub_run_output(
        self,
        sub_run_key: NamedDependency[SubRunKey],
        services: NamedDependency[RunOutputServices],
        output_range: NamedDependency[OutputRange],
    ) -> LogPieces:
        """Return the output of all steps of a sub-run, as listDAGRunLogPieces does."""

        def read(connection: ReadConnection) -> LogPieces:
            return _read(
                connection,
                find_sub_run(connection, sub_run_key.name, sub_run_key.root, sub_run_key.sub_run),
                output_range,
                services.zone,
            )

        return await services.database.read(read)


_STREAMS = {"stdout": (STDOUT,), "stderr": (STDERR,), None: (STDOUT, STDERR)}


class LogSearchServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the search in logs."""

    database: Database
    log_search: LogSearch
    search_shares: Shares


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


async def _search(services: LogSearchServices, run: RunRow, log_query: LogQuery, caller: Caller) -> LogHits:
    def read(connection: ReadConnection) -> tuple[Sequence[NodeRow], dict[StreamKey, int]]:
        nodes = runs.get_nodes(connection, run.id, run.attempt)
        return nodes, logs.find_streams(connection, run.id)

    nodes, known = await services.database.read(read)
    streams = log_streams(nodes, known, log_query.streams)
    if log_query.step is not None:
        _check_step(run, nodes, log_query.step)
        streams = [stream for stream in streams if stream.step == log_query.step]
    with services.search_shares.hold(caller):
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
        caller: NamedDependency[Caller],
    ) -> LogHits:
        """Find the log lines of a run that contain a text, ignoring case, or with ``regex`` match an expression."""
        run = await services.database.read_inline(lambda connection: find_run(connection, name, dag_run_id))
        return await _search(services, run, log_query, caller)

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
        caller: NamedDependency[Caller],
    ) -> LogHits:
        """Find the log lines of a sub-run, as searchDAGRunLogs does."""

        def read(connection: ReadConnection) -> RunRow:
            return find_sub_run(connection, sub_run_key.name, sub_run_key.root, sub_run_key.sub_run)

        run = await services.database.read_inline(read)
        return await _search(services, run, log_query, caller)
