"""Output of all steps of a run in the order of arrival (extension of the contract)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.events import precise_time
from dagbook.api.providers import provide_services
from dagbook.api.schemas.run_logs import LogPiece, LogPieces
from dagbook.api.services import SubRunKey
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories.logs import interleaved_logs
from dagbook.db.repositories.logs.interleaved_logs import OutputCursor, OutputRow
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.runs.queries import find_run, find_sub_run

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
