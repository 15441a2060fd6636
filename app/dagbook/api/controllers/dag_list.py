"""List, search and tags of stored DAGs (tag dags)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.present import dag_in_list, millis, pagination, placeholder_summary, run_summary
from dagbook.api.presenters.sources import present_origin
from dagbook.api.providers import provide_services
from dagbook.api.schemas.dags import (
    DAGFile,
    DAGFiles,
    RecentRun,
    SearchDAGsMatchItem,
    SearchResultItem,
    SearchResults,
    Tags,
)
from dagbook.api.services import DagOrder, PageNumber
from dagbook.api.shares import Shares
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import dags, sources
from dagbook.db.repositories.dags import DagFilter, DagHash, DagRow
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.runs.runs import RunWithState
from dagbook.db.repositories.sources import DagOrigin
from dagbook.definitions.next_starts import NextStartCache
from dagbook.definitions.queries import Search, SearchHit, load_stored, parse_missing
from dagbook.spec.reading.definition_cache import DefinitionCache

_NEVER = datetime.max.replace(tzinfo=UTC)
_MAX_OFFSET = 2**62


class _Read(msgspec.Struct, frozen=True):
    """The total, the rows of the page, their latest runs by DAG name, and where they come from by their keys."""

    total: int
    rows: Sequence[DagRow]
    latest: Mapping[str, RunWithState]
    origins: Mapping[int, DagOrigin]


_YIELD_EVERY = 50  # results between two yields to other tasks


class DagListServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the list of DAGs."""

    database: Database
    library: DefinitionCache
    search: Search
    search_shares: Shares
    next_runs: NextStartCache
    zone: ZoneInfo
    now: Callable[[], datetime]


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """Filter, order and page of the list."""

    filter: DagFilter
    by_next_run: bool
    descending: bool
    number: int
    size: int

    @property
    def offset(self) -> int:
        return min((self.number - 1) * self.size, _MAX_OFFSET)


async def _add_recent(services: DagListServices, rows: Sequence[DagRow], files: Sequence[DAGFile], most: int) -> None:
    names = [row.dag_name for row in rows]
    found = await services.database.read(lambda connection: run_history.find_recent(connection, names, most))
    for row, file in zip(rows, files, strict=True):
        file.recent_runs = [
            RecentRun(
                name=run.dag_name,
                dag_run_id=run.run_id,
                status=run.status,
                started_at_millis=millis(run.started_at),
                finished_at_millis=millis(run.finished_at),
            )
            for run in found.get(row.dag_name, ())
        ]


async def _page_by_name(services: DagListServices, request: _Page) -> _Read:
    def read(connection: ReadConnection) -> _Read:
        rows = dags.find_page(
            connection, request.filter, descending=request.descending, offset=request.offset, limit=request.size
        )
        return _read_page(connection, dags.count(connection, request.filter), rows)

    return await services.database.read(read)


def _read_page(connection: ReadConnection, total: int, rows: Sequence[DagRow]) -> _Read:
    latest = run_history.find_latest(connection, [row.file_name for row in rows])
    return _Read(total, rows, latest, sources.find_origins(connection, [row.id for row in rows]))


async def _page_by_next_run(services: DagListServices, request: _Page) -> _Read:
    found = await services.database.read(lambda connection: dags.find_hashes(connection, request.filter))
    await _load_next_starts(services, found)
    now = services.now()
    times = {row.file_name: services.next_runs.get(row.definition_hash, now) for row in found}
    chosen = _by_next_run(found, times, descending=request.descending)[request.offset : request.offset + request.size]
    names = [row.file_name for row in chosen]

    def read(connection: ReadConnection) -> _Read:
        rows = {row.file_name: row for row in dags.find_files(connection, names)}
        existing = [rows[name] for name in names if name in rows]
        return _read_page(connection, len(found), existing)

    return await services.database.read(read)


async def _load_next_starts(services: DagListServices, rows: Sequence[DagHash]) -> None:
    unknown = services.next_runs.missing(row.definition_hash for row in rows)
    for begin in range(0, len(unknown), _YIELD_EVERY):
        hashes = unknown[begin : begin + _YIELD_EVERY]
        specs = await services.database.read(partial(run_history.find_specs, hashes=hashes))
        await asyncio.to_thread(services.next_runs.load, {key: text or "" for key, (text, _) in specs.items()})


def _by_next_run(
    rows: Sequence[DagHash], times: Mapping[str, datetime | None], *, descending: bool
) -> Sequence[DagHash]:
    """Sort by the next start; DAGs without one come last in both orders, among themselves by name."""
    named = sorted(rows, key=lambda row: row.dag_name.casefold(), reverse=descending)
    scheduled = [row for row in named if times[row.file_name] is not None]
    scheduled.sort(key=lambda row: times[row.file_name] or _NEVER, reverse=descending)
    return scheduled + [row for row in named if times[row.file_name] is None]


def _dag_file(row: DagRow, page: _Read, services: DagListServices) -> DAGFile:
    loaded = load_stored(services.library, row)
    dag = loaded.definition.dag
    run = page.latest.get(row.dag_name)
    summary = run_summary(run, services.zone) if run is not None else placeholder_summary(dag, services.zone)
    return DAGFile(
        file_name=row.file_name,
        dag=dag_in_list(dag),
        latest_dag_run=summary,
        suspended=row.suspended,
        errors=[str(problem) for problem in loaded.problems],
        source=present_origin(page.origins.get(row.id), services.zone),
    )


def _add_result(results: SearchResults, hit: SearchHit, services: DagListServices) -> None:
    loaded = load_stored(services.library, hit.row)
    if loaded.problems:
        results.errors += [f"{hit.row.file_name}: {problem}" for problem in loaded.problems]
        return
    matches = [
        SearchDAGsMatchItem(line=block.text, line_number=block.line, start_line=block.first) for block in hit.blocks
    ]
    results.results.append(
        SearchResultItem(name=hit.row.file_name, dag=dag_in_list(loaded.definition.dag), matches=matches)
    )


class DagListController(Controller):
    path = "/dags"
    dependencies = provide_services(DagListServices)

    @get(operation_id="listDAGs", requires=Requires.READ, narrowed=True, responses=errors())
    async def list_dags(
        self,
        services: NamedDependency[DagListServices],
        page_number: NamedDependency[PageNumber],
        dag_order: NamedDependency[DagOrder],
        dag_filter: NamedDependency[DagFilter],
        recent: parameters.Recent = 0,
    ) -> DAGFiles:
        """List stored DAGs, also invalid ones, with the latest run of each, and its ``recent`` newest runs."""
        number, size = page_number.number, page_number.size
        request = _Page(
            filter=dag_filter,
            by_next_run=dag_order.by == "nextRun",
            descending=dag_order.direction == "desc",
            number=number,
            size=size,
        )
        if "\0" in request.filter.name_part + request.filter.tag:  # no text in the database holds one
            return DAGFiles(dags=[], errors=[], pagination=pagination(0, number, size))
        read_page = _page_by_next_run if request.by_next_run else _page_by_name
        found = await read_page(services, request)
        await parse_missing(services.library, found.rows)
        files = [_dag_file(row, found, services) for row in found.rows]
        if recent:
            await _add_recent(services, found.rows, files, recent)
        return DAGFiles(dags=files, errors=[], pagination=pagination(found.total, number, size))

    @get("/search", operation_id="searchDAGs", requires=Requires.READ, narrowed=True, responses=errors())
    async def search_dags(
        self, services: NamedDependency[DagListServices], caller: NamedDependency[Caller], q: parameters.Query
    ) -> SearchResults:
        """Search the lines of all stored DAGs for a regular expression, ignoring case, with two context lines each."""
        with services.search_shares.hold(caller):
            found = await services.search.find(q, caller.sight)
        results = SearchResults(results=[], errors=[found.problem] if found.problem else [])
        for number, hit in enumerate(found.hits, 1):
            _add_result(results, hit, services)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return results

    @get("/tags", operation_id="getAllDAGTags", requires=Requires.READ, narrowed=True, responses=errors())
    async def list_tags(self, services: NamedDependency[DagListServices], caller: NamedDependency[Caller]) -> Tags:
        """List the tags of all stored DAGs."""
        found = await services.database.read(lambda connection: dags.find_tags(connection, caller.sight))
        return Tags(tags=sorted(found), errors=[])
