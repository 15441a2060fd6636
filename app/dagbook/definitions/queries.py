"""Reads of stored DAGs that several entry points share, and pages of their list."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import approvals, dags, sources
from dagbook.db.repositories.dags import DagFilter, DagHash, DagRow
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.runs.runs import EngineFields, RunWithState
from dagbook.db.repositories.sources import DagOrigin
from dagbook.definitions.timetable import Timetable
from dagbook.engine.status import RunStatus
from dagbook.errors import NotFoundError
from dagbook.identifiers import is_name, shorten, strip_suffix
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import Loaded

_NEVER = datetime.max.replace(tzinfo=UTC)


class DagPageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Filter, order and page of the list of DAGs."""

    filter: DagFilter
    by_next_start: bool
    descending: bool
    offset: int
    limit: int


class DagPage(msgspec.Struct, frozen=True):
    """A page of DAGs: the total, its rows, their latest runs by DAG name, and where they come from by their keys.

    ``failing`` has the names of the nodes that are the reason of a bad end, by the keys of the latest runs.
    ``waiting`` has the keys of the latest runs that wait for an approval.
    """

    total: int
    rows: Sequence[DagRow]
    latest: Mapping[str, RunWithState]
    origins: Mapping[int, DagOrigin]
    failing: Mapping[int, str]
    waiting: Collection[int]


def load_stored(library: DefinitionCache, row: DagRow) -> Loaded:
    """Return the definition of a stored DAG, valid or not, which is cached."""
    return library.read(row.spec or "", name=row.file_name)


async def read_stored(library: DefinitionCache, row: DagRow) -> Loaded:
    """Parse the definition of a stored DAG, valid or not; a long one in a thread."""
    return await library.read_aside(row.spec or "", name=row.file_name)


async def parse_missing(library: DefinitionCache, rows: Sequence[DagRow]) -> None:
    """Parse the definitions of stored DAGs that are not cached, in a thread: a thousand of them take seconds."""
    missing = [row for row in rows if not library.is_cached(row.spec or "", name=row.file_name)]
    if missing:
        await asyncio.to_thread(lambda: [load_stored(library, row) for row in missing])


async def require_dag(database: Database, file_name: str) -> DagRow:
    """Return a stored DAG; raises NotFoundError."""
    name = strip_suffix(file_name)
    row = None
    if is_name(name):
        row = await database.read_inline(lambda connection: dags.get(connection, name))
    if row is None:
        raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
    return row


async def find_page(database: Database, request: DagPageRequest) -> DagPage:
    """Return a page of the stored DAGs by name."""

    def read(connection: ReadConnection) -> DagPage:
        rows = dags.find_page(
            connection, request.filter, descending=request.descending, offset=request.offset, limit=request.limit
        )
        is_last = len(rows) < request.limit and (bool(rows) or not request.offset)
        total = request.offset + len(rows) if is_last else dags.count(connection, request.filter)
        return _read_page(connection, total, rows)

    return await database.read(read)


async def find_page_by_next_start(
    database: Database, timetable: Timetable, request: DagPageRequest, now: datetime
) -> DagPage:
    """Return a page of the stored DAGs by their next start."""
    found = await database.read(lambda connection: dags.find_hashes(connection, request.filter))
    starts = await timetable.find_next_starts((row.definition_hash for row in found), now)
    ordered = _by_next_start(found, starts, descending=request.descending)
    names = [row.file_name for row in ordered[request.offset : request.offset + request.limit]]

    def read(connection: ReadConnection) -> DagPage:
        rows = {row.file_name: row for row in dags.find_files(connection, names)}
        existing = [rows[name] for name in names if name in rows]
        return _read_page(connection, len(found), existing)

    return await database.read(read)


def _read_page(connection: ReadConnection, total: int, rows: Sequence[DagRow]) -> DagPage:
    latest = run_history.find_latest(connection, [row.file_name for row in rows])
    positions = {run.id: EngineFields.of(run.state).error_key for run in latest.values() if run.error}
    failing = run_history.find_failing_nodes(connection, positions)
    waiting = approvals.find_waiting(connection, [run.id for run in latest.values() if run.status is RunStatus.RUNNING])
    origins = sources.find_origins(connection, [row.id for row in rows])
    return DagPage(total, rows, latest, origins, failing, waiting)


def _by_next_start(
    rows: Sequence[DagHash], starts: Mapping[str, datetime | None], *, descending: bool
) -> Sequence[DagHash]:
    """Sort by the next start; DAGs without one come last in both orders, among themselves by name."""
    named = sorted(rows, key=lambda row: row.dag_name.casefold(), reverse=descending)
    scheduled = [row for row in named if starts[row.definition_hash] is not None]
    scheduled.sort(key=lambda row: starts[row.definition_hash] or _NEVER, reverse=descending)
    return scheduled + [row for row in named if starts[row.definition_hash] is None]
