"""The logs of runs and sub-runs: their own, of one step, of all steps in order of arrival, and search in them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from urllib.parse import quote

import msgspec
from litestar import Controller, MediaType
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream
from msgspec import UNSET

from dagbook.api.dependencies import RequestedRun, provide
from dagbook.api.params import parameters
from dagbook.api.params.log_paging import (
    PageRequest,
    is_part,
    page,
    provide_page_request,
    resolve_range,
    slice_chunk,
    slice_lines,
)
from dagbook.api.presenters.fields import precise_time
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import get, permission
from dagbook.api.schemas.run_logs import LogHit, LogHits, LogPiece, LogPieces, StepLines, StepLinesPiece
from dagbook.api.schemas.runs import Log
from dagbook.api.services import RunServices
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.logs import interleaved_logs, logs, merged_logs
from dagbook.db.repositories.logs.interleaved_logs import OutputCursor, OutputRow
from dagbook.db.repositories.logs.logs import ChunkText, StreamKey
from dagbook.db.repositories.logs.merged_logs import Chunk, ChunkCursor, Lines, MergedLog
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.logs.search import LogStream, SearchQuery, check_query, log_streams, read_position
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.queries import RunRef, dag_of, find_step_log
from dagbook.runs.store.run_loading import render_log

Services = NamedDependency[RunServices]
_TEXT_FILE = ResponseSpec(str, generate_examples=False, media_type="text/plain", description="The whole output")
_EPOCH = datetime.fromtimestamp(0, UTC)
# Microseconds, position, ordinal, and in the output with sub-runs the run.
_CURSOR = re.compile(r"([0-9]{1,16})\.(-?[0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,19}))?")
_TOO_LARGE = 2**63
_END = "end"
_NAMES: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}
_ENDINGS = {"stdout": "out", "stderr": "err", "all": "log"}
_STREAMS = {"stdout": (STDOUT,), "stderr": (STDERR,), None: (STDOUT, STDERR)}


class OutputRange(msgspec.Struct, frozen=True, kw_only=True):
    """Range of output chunks: the first ones ``after`` a cursor, or the last ones, optionally ``before`` a cursor.

    A cursor without a run is one of the requested run.
    """

    limit: int
    after: OutputCursor | None = None
    before: OutputCursor | None = None
    from_end: bool = False
    sub_runs: bool = False
    line: OutputLine | None = None


class OutputLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a step of the requested run or of a sub-run, with which a range begins."""

    step: str
    stream: str
    line: int
    sub_run: str | None


def provide_output_range(  # noqa: PLR0913, PLR0917 - one for each parameter
    after: parameters.After = None,
    before: parameters.BeforePosition = None,
    limit: parameters.PageLimit = 200,
    sub_runs: parameters.WithSubRuns = False,
    step: parameters.Step = None,
    stream: parameters.EitherStream = None,
    line: parameters.AtLine = None,
    sub_run: parameters.AtSubRun = None,
) -> OutputRange:
    """Make the range; raises BadRequestError."""
    if after and before:
        raise BadRequestError("before: is given together with after; give one of them")
    if line is not None and (after or before or not step or not stream):
        raise BadRequestError("line: needs step and stream, and neither after nor before")
    cursor = None if before in (None, "", _END) else read_cursor("before", before)
    return OutputRange(
        limit=limit,
        after=read_cursor("after", after) if after else None,
        before=cursor,
        from_end=bool(before),
        sub_runs=sub_runs,
        line=OutputLine(step=step, stream=stream, line=line, sub_run=sub_run) if line and step and stream else None,
    )


def read_cursor(field: str, text: str | None) -> OutputCursor:
    """Parse a chunk's cursor; raises BadRequestError."""
    if text and (match := _CURSOR.fullmatch(text)) and int(match[4] or 0) < _TOO_LARGE:
        microseconds, position, ordinal, run = (int(group or 0) for group in match.groups())
        return OutputCursor(_EPOCH + timedelta(microseconds=microseconds), run, position, ordinal)
    raise BadRequestError(f"{field}: {shorten(text or '')} is not a position in a log; send the place of a piece")


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A search in a run's logs: query, step and streams, and whether sub-runs are included."""

    query: SearchQuery
    step: str | None
    streams: tuple[int, ...]
    sub_runs: bool


def provide_log_query(  # noqa: PLR0913, PLR0917 - one for each parameter
    q: parameters.Query,
    step: parameters.Step = None,
    stream: parameters.EitherStream = None,
    regex: parameters.IsRegex = False,
    limit: parameters.PageLimit = 100,
    after: parameters.After = None,
    merged: parameters.IsMerged = False,
    sub_runs: parameters.WithSubRuns = False,
) -> LogQuery:
    """Make the query; raises BadRequestError."""
    check_query(q)
    if merged and (not step or stream):
        raise BadRequestError("merged: needs a step, and no stream")
    position = read_position(after) if after else None
    query = SearchQuery(text=q, is_expression=regex, limit=limit, after=position)
    streams = (logs.BOTH,) if merged else _STREAMS[stream]
    return LogQuery(query=query, step=step or None, streams=streams, sub_runs=sub_runs)


class LineRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A page of lines of a step: from ``offset`` on, which may count in one stream, and of one execution."""

    stream: str | None
    offset: int
    limit: int
    of: str | None
    execution: int | None


def provide_line_request(
    stream: parameters.EitherStream = None,
    offset: parameters.FirstLine = 1,
    limit: parameters.LineLimit = 500,
    of: parameters.LineOf = None,
    execution: parameters.Execution = None,
) -> LineRequest:
    return LineRequest(stream=stream, offset=offset, limit=limit, of=of, execution=execution)


class RunLogs(Controller):
    """Operations on runs and sub-runs, see ``for_sub_runs_too``."""

    opt = permission(Requires.READ)
    dependencies = provide(
        output_range=provide_output_range,
        log_query=provide_log_query,
        line_request=provide_line_request,
        page_request=provide_page_request,
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
        "/steps/{stepName:str}/log/lines",
        "listDAGRunStepLines",
        404,
        sub_run="Return lines of the output of a step of a sub-run, as listDAGRunStepLines does.",
    )
    async def list_lines(
        self,
        run: RequestedRun,
        step_name: parameters.StepName,
        services: Services,
        line_request: NamedDependency[LineRequest],
    ) -> StepLines:
        """Return lines of a step or handler with their times, both streams as one in the order of arrival."""
        step = step_name.strip()

        def read(connection: ReadConnection) -> StepLines:
            row = run.find(connection)
            key = find_step_log(connection, services.library, row, step, line_request.stream)
            return _read_lines(MergedLog(connection, key), line_request, services.zone)

        return await services.database.read(read)

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
        stream: parameters.DownloadStream = "stdout",
        execution: parameters.Execution = None,
    ) -> Stream:
        """Download the output of a step or handler so far as a text file."""
        key = await _find_step_log(services, run, step_name, None if stream == "all" else stream)
        name = quote(f"{step_name.strip()}.{_ENDINGS[stream]}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return Stream(_read_blocks(services.database, key, execution), media_type=MediaType.TEXT, headers=headers)

    @get(
        "/log/pieces",
        "listDAGRunLogPieces",
        404,
        sub_run="Return the output of all steps of a sub-run, as listDAGRunLogPieces does.",
    )
    async def list_output(
        self, run: RequestedRun, services: Services, output_range: NamedDependency[OutputRange]
    ) -> LogPieces:
        """Return the output of all steps and handlers of a run, both streams, in the order of arrival.

        With ``subRuns`` that of the runs that its steps called is included.
        """
        return await services.database.read(
            lambda connection: _read_output(connection, run.find(connection), output_range, services)
        )

    @get("/log/search", "searchDAGRunLogs", 404, sub_run="Find the log lines of a sub-run, as searchDAGRunLogs does.")
    async def search_logs(
        self, request: ApiRequest, run: RequestedRun, services: Services, log_query: NamedDependency[LogQuery]
    ) -> LogHits:
        """Find the log lines of a run that contain a text, ignoring case, or with ``regex`` match an expression."""
        streams = await services.database.read(
            lambda connection: _find_streams(connection, services, run.find(connection), log_query)
        )
        async with services.limits.search(request):
            found = await services.log_search.find(streams, log_query.query)
        whole, *hits = (
            {name: value for name, value in msgspec.structs.asdict(each).items() if value is not None}
            for each in (found, *found.hits)
        )
        return LogHits(**whole | {"hits": [LogHit(**hit) for hit in hits]})


def _find_streams(connection: ReadConnection, services: RunServices, run: RunRow, query: LogQuery) -> list[LogStream]:
    """Return the streams to search; raises NotFoundError for a step that has no log."""
    if query.step is not None and not query.sub_runs:
        find_step_log(connection, services.library, run, query.step, None)
    nodes = interleaved_logs.find_nodes(connection, [run.id], sub_runs=query.sub_runs)
    return log_streams([node for node in nodes if query.step in (None, node.name)], run.id, query.streams)


async def _find_step_log(services: RunServices, run: RunRef, step_name: str, stream: str | None) -> StreamKey:
    return await services.database.read_inline(
        lambda connection: find_step_log(connection, services.library, run.find(connection), step_name.strip(), stream)
    )


async def _read_blocks(database: Database, key: StreamKey, execution: int | None) -> AsyncIterator[bytes]:
    """Yield the output stored so far, or that of one execution."""
    at = ChunkCursor() if execution is None else await database.read(merged_logs.find_execution, key, execution)
    while chunks := await database.read(merged_logs.read_block, key, at):
        wanted = [chunk for chunk in chunks if execution in (None, chunk.execution)]
        yield "".join(chunk.text for chunk in wanted).encode()
        if len(wanted) < len(chunks):
            return
        at = at.after(chunks)


def _read_lines(log: MergedLog, request: LineRequest, zone: tzinfo) -> StepLines:
    first, last = (1, log.total) if request.execution is None else log.span(request.execution)
    begin = request.offset if request.of is None else log.line_of(_STREAMS[request.of][0], request.offset)
    begin = max(begin, first)
    lines = log.lines(begin, min(request.limit, last - begin + 1)) if begin <= last else Lines(begin, 0, ())
    pieces = [_lines_piece(chunk, lines, zone) for chunk in lines.chunks]
    return StepLines(
        total=log.total,
        first=first,
        last=last,
        count=lines.count,
        pieces=[piece for piece in pieces if piece.text and request.execution in (None, piece.execution)],
    )


def _lines_piece(chunk: Chunk, lines: Lines, zone: tzinfo) -> StepLinesPiece:
    first, text = slice_chunk(chunk, lines)
    return StepLinesPiece(
        line=first,
        stream=_NAMES[chunk.stream],
        number=chunk.first_line + first - chunk.line,
        execution=chunk.execution,
        at=precise_time(chunk.received_at, zone),
        text=text,
    )


def _read_output(
    connection: ReadConnection, run: RunRow, output_range: OutputRange, services: RunServices
) -> LogPieces:
    limit, sub_runs = output_range.limit, output_range.sub_runs
    after, before = _of_run(run, output_range.after), _of_run(run, output_range.before)
    if output_range.line is not None:
        after = _before_line(connection, services, run, output_range.line)
    if output_range.from_end:
        found = interleaved_logs.find_last(connection, run.id, limit, before, sub_runs=sub_runs)
        earlier, more = found.more, before is not None
    else:
        found = interleaved_logs.find_first(connection, run.id, limit, after, sub_runs=sub_runs)
        earlier, more = after is not None, found.more
    pieces = [_output_chunk(row, run, services.zone) for row in found.rows]
    return LogPieces(pieces=pieces, has_earlier=earlier, has_more=more)


def _of_run(run: RunRow, cursor: OutputCursor | None) -> OutputCursor | None:
    return None if cursor is None else msgspec.structs.replace(cursor, run=cursor.run or run.id)


def _before_line(
    connection: ReadConnection, services: RunServices, run: RunRow, line: OutputLine
) -> OutputCursor | None:
    """Return the cursor after which the piece with a line comes; raises NotFoundError."""
    of: RunRow | None = run
    if line.sub_run is not None:
        of = None if "\0" in line.sub_run else runs.get_below(connection, run.root_id or run.id, line.sub_run)
    if of is None:
        raise NotFoundError(f"run {shorten(run.run_id)} has no sub-run {shorten(line.sub_run or '')}")
    key = find_step_log(connection, services.library, of, line.step, None)
    log = MergedLog(connection, msgspec.structs.replace(key, stream=_STREAMS[line.stream][0]))
    chunk = log.chunk_of(line.line)
    # Ordinals are whole numbers, so the chunk is the first one after this.
    return None if chunk is None else OutputCursor(chunk.received_at, of.id, key.position, chunk.ordinal - 1)


def _output_chunk(row: OutputRow, run: RunRow, zone: tzinfo) -> LogPiece:
    microseconds = (row.received_at - _EPOCH) // timedelta(microseconds=1)
    place = f"{microseconds}.{row.position}.{row.ordinal}"  # see read_cursor
    is_below = row.run_id != run.id
    return LogPiece(
        at=precise_time(row.received_at, zone),
        step=row.name,
        stream=_NAMES[row.stream],
        execution=row.execution,
        line=row.first_line,
        text=row.text,
        place=f"{place}.{row.run_id}" if is_below else place,
        dag_name=row.dag_name if is_below else UNSET,
        dag_run_id=row.dag_run_id if is_below else UNSET,
    )
