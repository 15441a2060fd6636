"""The logs of runs and sub-runs: their own, of one step, of all steps in order of arrival, and search in them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Literal
from urllib.parse import quote

import msgspec
from litestar import Controller, MediaType
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from dagbook.api.dependencies import RequestedRun, provide
from dagbook.api.params import parameters
from dagbook.api.params.log_paging import PageRequest, is_part, page, provide_page_request, resolve_range, slice_lines
from dagbook.api.presenters.fields import precise_time
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import get, permission
from dagbook.api.schemas.run_logs import LogHit, LogHits, LogPiece, LogPieces
from dagbook.api.schemas.runs import Log
from dagbook.api.services import RunServices
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.logs import interleaved_logs, logs
from dagbook.db.repositories.logs.interleaved_logs import OutputCursor, OutputRow
from dagbook.db.repositories.logs.logs import ChunkText, StreamKey
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import NodeRow, RunRow
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.logs.search import SearchQuery, check_query, log_streams, read_position
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.queries import RunRef, dag_of, find_step_log
from dagbook.runs.service.retry import unknown_step
from dagbook.runs.store.run_loading import render_log

Services = NamedDependency[RunServices]
_TEXT_FILE = ResponseSpec(str, generate_examples=False, media_type="text/plain", description="The whole output")
_EPOCH = datetime.fromtimestamp(0, UTC)
_CURSOR = re.compile(r"([0-9]{1,16})\.(-?[0-9]{1,9})\.([0-9]{1,9})")  # microseconds, position, ordinal
_END = "end"
_NAMES: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}
_STREAMS = {"stdout": (STDOUT,), "stderr": (STDERR,), None: (STDOUT, STDERR)}


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


def read_cursor(field: str, text: str | None) -> OutputCursor:
    """Parse a chunk's cursor; raises BadRequestError."""
    if text and (match := _CURSOR.fullmatch(text)):
        microseconds, position, ordinal = map(int, match.groups())
        return OutputCursor(_EPOCH + timedelta(microseconds=microseconds), position, ordinal)
    raise BadRequestError(f"{field}: {shorten(text or '')} is not a position in a log; send the place of a piece")


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


class RunLogs(Controller):
    """Operations on runs and sub-runs, see ``for_sub_runs_too``."""

    opt = permission(Requires.READ)
    dependencies = provide(
        output_range=provide_output_range, log_query=provide_log_query, page_request=provide_page_request
    )

    @get("/log", "getDAGRunLog", 404, sub_run="Return a page of a sub-run's own log.")
    async def get_log(self, run: RequestedRun, services: Services, page_request: NamedDependency[PageRequest]) -> Log:
        """Return a page of the run's own log, which lists its events over all attempts."""

        def read(connection: ReadConnection) -> list[str]:
            row = run.find(connection)
            if row.status == RunStatus.QUEUED and row.attempt == 1:
                raise NotFoundError(f"run {shorten(row.run_id)} is queued, so it has no log yet")
            dag = dag_of(connection, services.library, row)
            return render_log(runs.get_events(connection, row.id), row, dag, services.zone)

        lines = await services.database.read(read)
        requested = resolve_range(page_request, len(lines))
        selected = lines[requested.first - 1 : requested.first - 1 + requested.count]
        return page(selected, requested, len(lines), part=is_part(page_request))

    @get(
        "/steps/{stepName:str}/log",
        "getDAGRunStepLog",
        404,
        sub_run="Return a page of the output of a step or handler of a sub-run.",
    )
    async def get_step_log(
        self,
        run: RequestedRun,
        step_name: parameters.StepName,
        services: Services,
        page_request: NamedDependency[PageRequest],
        stream: parameters.Stream = "stdout",
    ) -> Log:
        """Return a page of the output of a step or handler, also while it is running."""
        key = await _find_step_log(services, run, step_name, stream)
        # Those of both streams are counted over all their chunks.
        read = services.database.read if key.stream == logs.BOTH else services.database.read_inline
        end = await read(logs.get_end, key)
        requested = resolve_range(page_request, end.line_total)
        if end.last is None or end.last.starts_before(requested.first):
            chunks: Sequence[ChunkText] = () if end.last is None else (end.last,)
        else:
            is_tail = (page_request.tail or 0) > 0
            chunks = await services.database.read(
                lambda connection: logs.find_lines(connection, key, requested.first, requested.count, from_end=is_tail)
            )
        lines, served = slice_lines(chunks, requested)
        return page(lines, served, end.line_total, part=is_part(page_request))

    @get(
        "/steps/{stepName:str}/log/download",
        "downloadDAGRunStepLog",
        404,
        responses={200: _TEXT_FILE},
        sub_run="Download the output of a step or handler of a sub-run so far as a text file.",
    )
    async def download_step_log(
        self,
        run: RequestedRun,
        step_name: parameters.StepName,
        services: Services,
        stream: parameters.Stream = "stdout",
    ) -> Stream:
        """Download the output of a step or handler so far as a text file."""
        key = await _find_step_log(services, run, step_name, stream)
        name = quote(f"{step_name.strip()}.{'out' if stream == 'stdout' else 'err'}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return Stream(_read_blocks(services.database, key), media_type=MediaType.TEXT, headers=headers)

    @get(
        "/log/pieces",
        "listDAGRunLogPieces",
        404,
        sub_run="Return the output of all steps of a sub-run, as listDAGRunLogPieces does.",
    )
    async def list_output(
        self, run: RequestedRun, services: Services, output_range: NamedDependency[OutputRange]
    ) -> LogPieces:
        """Return the output of all steps and handlers of a run, both streams, in the order of arrival."""
        return await services.database.read(
            lambda connection: _read_output(connection, run.find(connection), output_range, services.zone)
        )

    @get("/log/search", "searchDAGRunLogs", 404, sub_run="Find the log lines of a sub-run, as searchDAGRunLogs does.")
    async def search_logs(
        self, request: ApiRequest, run: RequestedRun, services: Services, log_query: NamedDependency[LogQuery]
    ) -> LogHits:
        """Find the log lines of a run that contain a text, ignoring case, or with ``regex`` match an expression."""
        row = await run.read(services.database)
        nodes, known = await services.database.read(
            lambda connection: (
                runs.get_nodes(connection, row.id, row.attempt),
                logs.find_streams(connection, row.id),
            )
        )
        streams = log_streams(nodes, known, log_query.streams)
        if log_query.step is not None:
            _check_step(row, nodes, log_query.step)
            streams = [stream for stream in streams if stream.step == log_query.step]
        async with services.limits.search(request):
            found = await services.log_search.find(streams, log_query.query)
        given = {name: value for name, value in msgspec.structs.asdict(found).items() if value is not None}
        return LogHits(**given | {"hits": [LogHit(**msgspec.structs.asdict(hit)) for hit in found.hits]})


async def _find_step_log(services: RunServices, run: RunRef, step_name: str, stream: str) -> StreamKey:
    return await services.database.read_inline(
        lambda connection: find_step_log(connection, services.library, run.find(connection), step_name.strip(), stream)
    )


async def _read_blocks(database: Database, key: StreamKey) -> AsyncIterator[bytes]:
    """Yield the output stored so far."""
    seq = 0
    while texts := await database.read(partial(logs.find_texts, key=key, seq=seq)):
        for text in texts:
            yield text.encode()
        seq += len(texts)


def _read_output(connection: ReadConnection, run: RunRow, output_range: OutputRange, zone: tzinfo) -> LogPieces:
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


def _check_step(run: RunRow, nodes: Sequence[NodeRow], step: str) -> None:
    node = next((node for node in nodes if node.name == step), None)
    if node is None:
        raise unknown_step(run, step)
    if node.started_at is None:
        raise NotFoundError(f"step {shorten(step)} has not run, so it has no log")
