"""List, search and tags of stored DAGs (tag dags)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from litestar import Controller
from litestar.di import NamedDependency
from msgspec import UNSET

from dagbook.accounts.rights import find_permitted
from dagbook.api.dependencies import CurrentCaller, RequestedPage, provide_services
from dagbook.api.params import parameters
from dagbook.api.params.lists import DagOrder
from dagbook.api.presenters.dags import dag_in_list, present_suspension
from dagbook.api.presenters.fields import or_unset
from dagbook.api.presenters.runs import cause, millis, placeholder_summary, run_summary
from dagbook.api.presenters.sources import present_origin
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import get, permission
from dagbook.api.schemas.dags import (
    DAGFile,
    DAGFiles,
    RecentRun,
    SearchDAGsMatchItem,
    SearchResultItem,
    SearchResults,
    Tags,
)
from dagbook.api.services import DagServices
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals, dags
from dagbook.db.repositories.dags import DagFilter, DagRow
from dagbook.db.repositories.runs import run_history
from dagbook.definitions.queries import (
    DagPage,
    DagPageRequest,
    find_page,
    find_page_by_next_start,
    load_stored,
    parse_missing,
)
from dagbook.definitions.search import SearchHit
from dagbook.engine.status import RunStatus

Services = NamedDependency[DagServices]

_YIELD_EVERY = 50  # results between two yields to other tasks


async def _add_recent(services: DagServices, rows: Sequence[DagRow], files: Sequence[DAGFile], most: int) -> None:
    names = [row.dag_name for row in rows]

    def read(connection: ReadConnection) -> tuple[Mapping[str, Sequence[run_history.RecentRun]], Collection[int]]:
        found = run_history.find_recent(connection, names, most)
        running = [run.id for runs in found.values() for run in runs if run.status is RunStatus.RUNNING]
        return found, approvals.find_waiting(connection, running)

    found, waiting = await services.database.read(read)
    for row, file in zip(rows, files, strict=True):
        file.recent_runs = [
            RecentRun(
                name=run.dag_name,
                dag_run_id=run.run_id,
                status=run.status,
                started_at_millis=millis(run.started_at),
                finished_at_millis=millis(run.finished_at),
                waiting_for_approval=or_unset(run.id in waiting),
            )
            for run in found.get(row.dag_name, ())
        ]


async def _add_rights(services: DagServices, caller: Caller, rows: Sequence[DagRow], files: Sequence[DAGFile]) -> None:
    names = [row.dag_name for row in rows]
    startable, editable = await find_permitted(services.auth, caller, names, Requires.RUN, Requires.WRITE)
    for name, file in zip(names, files, strict=True):
        file.may_start, file.may_edit = name in startable, name in editable


def _dag_file(row: DagRow, page: DagPage, services: DagServices) -> DAGFile:
    loaded = load_stored(services.library, row)
    dag = loaded.definition.dag
    run, origin = page.latest.get(row.dag_name), page.origins.get(row.id)
    summary = (
        run_summary(run, services.zone, page.waiting) if run is not None else placeholder_summary(dag, services.zone)
    )
    if run is not None:
        summary.cause = cause(summary.error, run.error, page.failing.get(run.id))
    return DAGFile(
        file_name=row.file_name,
        dag=dag_in_list(dag),
        latest_dag_run=summary,
        suspended=row.suspended,
        suspension=present_suspension(row, services.zone),
        errors=[str(problem) for problem in loaded.problems],
        source=UNSET if origin is None else present_origin(origin, services.zone),
    )


def _add_result(results: SearchResults, hit: SearchHit, services: DagServices) -> None:
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
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @get("", "listDAGs", narrowed=True)
    async def list_dags(
        self,
        services: Services,
        caller: CurrentCaller,
        page_number: RequestedPage,
        dag_order: NamedDependency[DagOrder],
        dag_filter: NamedDependency[DagFilter],
        recent: parameters.Recent = 0,
    ) -> DAGFiles:
        """List stored DAGs, also invalid ones, with the latest run of each, and its ``recent`` newest runs."""
        request = DagPageRequest(
            filter=dag_filter,
            by_next_start=dag_order.by == "nextRun",
            descending=dag_order.direction == "desc",
            offset=page_number.offset,
            limit=page_number.size,
        )
        if "\0" in request.filter.name_part + request.filter.tag:  # no text in the database holds one
            return DAGFiles(dags=[], errors=[], pagination=page_number.paging(0))
        if request.by_next_start:
            found = await find_page_by_next_start(services.database, services.timetable, request, services.now())
        else:
            found = await find_page(services.database, request)
        await parse_missing(services.library, found.rows)
        files = [_dag_file(row, found, services) for row in found.rows]
        await _add_rights(services, caller, found.rows, files)
        if recent:
            await _add_recent(services, found.rows, files, recent)
        return DAGFiles(dags=files, errors=[], pagination=page_number.paging(found.total))

    @get("/search", "searchDAGs", narrowed=True)
    async def search_dags(
        self, request: ApiRequest, services: Services, caller: CurrentCaller, q: parameters.Query
    ) -> SearchResults:
        """Search the lines of all stored DAGs for a regular expression, ignoring case, with two context lines each."""
        async with services.limits.search(request):
            found = await services.search.find(q, caller.visibility)
        results = SearchResults(results=[], errors=[found.problem] if found.problem else [])
        for number, hit in enumerate(found.hits, 1):
            _add_result(results, hit, services)
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return results

    @get("/tags", "getAllDAGTags", narrowed=True)
    async def list_tags(self, services: Services, caller: CurrentCaller) -> Tags:
        """List the tags of all stored DAGs."""
        found = await services.database.read(lambda connection: dags.find_tags(connection, caller.visibility))
        return Tags(tags=sorted(found), errors=[])
