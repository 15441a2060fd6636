"""Stored DAGs, many at once: listed, searched, their tags (tag dags)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from litestar import get
from litestar.di import NamedDependency

from app.api import params
from app.api.answers import errors
from app.api.controllers.dags import load
from app.api.deps import PageNumber, Parts
from app.api.present import dag_in_list, never_run_summary, pagination, run_summary
from app.api.schemas.dags import DAGFile, DAGFiles, SearchDAGsMatchItem, SearchResultItem, SearchResults, Tags
from app.auth.roles import Needs
from app.db.database import ReadConnection
from app.db.repositories import dags, history
from app.db.repositories.dags import DagFilter
from app.db.repositories.reading import Row
from app.definitions.search import Hit
from app.spec import cron
from app.spec.model import Dag

_NEVER = datetime.max.replace(tzinfo=UTC)
_MOST_OFFSET = 2**62
_BREATH = 50  # how many results are made before others get a turn


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of the list."""

    filter: DagFilter
    by_next_run: bool
    descending: bool
    number: int
    size: int

    @property
    def offset(self) -> int:
        return min((self.number - 1) * self.size, _MOST_OFFSET)


@get("/dags", operation_id="listDAGs", needs=Needs.READ, responses=errors())
async def list_dags(
    parts: NamedDependency[Parts],
    page_number: NamedDependency[PageNumber],
    name: params.Text = None,
    tag: params.Tag = None,
    sort: params.Sort = "name",
    order: params.Order = "asc",
) -> DAGFiles:
    """List stored DAGs, broken ones included, with the latest run of each."""
    number, size = page_number.number, page_number.size
    wanted = _Page(
        filter=DagFilter(name_part=(name or "").casefold(), tag=(tag or "").strip().casefold()),
        by_next_run=sort == "nextRun",
        descending=order == "desc",
        number=number,
        size=size,
    )
    if "\0" in wanted.filter.name_part + wanted.filter.tag:  # no text in the database holds one
        return DAGFiles(dags=[], errors=[], pagination=pagination(0, number, size))
    total, rows, latest = await parts.database.read(lambda connection: _read_page(connection, wanted, parts))
    return DAGFiles(
        dags=[_dag_file(row, latest, parts) for row in rows],
        errors=[],
        pagination=pagination(total, number, size),
    )


def _read_page(connection: ReadConnection, wanted: _Page, parts: Parts) -> tuple[int, Sequence[Row], dict[str, Row]]:
    if wanted.by_next_run:
        found = _by_next_run(dags.find(connection, wanted.filter), parts, descending=wanted.descending)
        total, rows = len(found), found[wanted.offset : wanted.offset + wanted.size]
    else:
        total = dags.count(connection, wanted.filter)
        rows = dags.find_page(
            connection, wanted.filter, descending=wanted.descending, offset=wanted.offset, limit=wanted.size
        )
    return total, rows, history.find_latest(connection, [row["file_name"] for row in rows])


def _by_next_run(rows: Sequence[Row], parts: Parts, *, descending: bool) -> Sequence[Row]:
    """Sort by the next start; DAGs without one come last in both orders, among themselves by name."""
    now = parts.now()
    zone = parts.zone if isinstance(parts.zone, ZoneInfo) else ZoneInfo("UTC")
    named = sorted(rows, key=lambda row: str(row["dag_name"]).casefold(), reverse=descending)
    times = {row["file_name"]: next_run(load(parts, row).definition.dag, now, zone) for row in named if _may_run(row)}
    scheduled = [row for row in named if times.get(row["file_name"]) is not None]
    scheduled.sort(key=lambda row: times[row["file_name"]] or _NEVER, reverse=descending)
    return scheduled + [row for row in named if times.get(row["file_name"]) is None]


def _may_run(row: Row) -> bool:
    return "schedule" in (row["spec"] or "")  # the others need not be read


def next_run(dag: Dag, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the earliest next start over all schedules of a DAG."""
    times = []
    for expression in dag.schedule.start:
        try:
            instant = cron.next_after(cron.parse(expression), now, zone)
        except ValueError:
            continue  # a broken schedule is among the DAG's errors
        if instant is not None:
            times.append(instant)
    return min(times, default=None)


def _dag_file(row: Mapping[str, Any], latest: Mapping[str, Any], parts: Parts) -> DAGFile:
    loaded = load(parts, row)
    dag = loaded.definition.dag
    run = latest.get(row["dag_name"])
    shown = run_summary(run, parts.zone) if run is not None else never_run_summary(dag, parts.zone)
    return DAGFile(
        file_name=row["file_name"],
        dag=dag_in_list(dag),
        latest_dag_run=shown,
        suspended=row["suspended"],
        errors=[str(problem) for problem in loaded.problems],
    )


@get("/dags/search", operation_id="searchDAGs", needs=Needs.READ, responses=errors())
async def search_dags(parts: NamedDependency[Parts], q: params.Query) -> SearchResults:
    """Look for an expression in the lines of all stored DAGs, whatever the case, with two lines around each."""
    found = await parts.search.find(q)
    answer = SearchResults(results=[], errors=[found.problem] if found.problem else [])
    for number, hit in enumerate(found.hits, 1):
        _add_result(answer, hit, parts)
        if number % _BREATH == 0:
            await asyncio.sleep(0)
    return answer


def _add_result(answer: SearchResults, hit: Hit, parts: Parts) -> None:
    loaded = load(parts, hit.row)
    if loaded.problems:
        answer.errors += [f"{hit.row['file_name']}: {problem}" for problem in loaded.problems]
        return
    matches = [
        SearchDAGsMatchItem(line=block.text, line_number=block.line, start_line=block.first) for block in hit.blocks
    ]
    answer.results.append(
        SearchResultItem(name=hit.row["file_name"], dag=dag_in_list(loaded.definition.dag), matches=matches)
    )


@get("/dags/tags", operation_id="getAllDAGTags", needs=Needs.READ, responses=errors())
async def list_tags(parts: NamedDependency[Parts]) -> Tags:
    """List the tags of all stored DAGs."""
    return Tags(tags=sorted(await parts.database.read(dags.find_tags)), errors=[])


HANDLERS = [list_dags, search_dags, list_tags]
