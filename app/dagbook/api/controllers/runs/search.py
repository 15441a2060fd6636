"""Search by names, ids and values while they are typed, and in what recent runs wrote (tag search)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from datetime import timedelta, tzinfo

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from msgspec import UNSET

from dagbook.accounts.rights import find_permitted, refusal_of
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.params.cursors import read_cursor, write_cursor
from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import get, permission
from dagbook.api.schemas.search import (
    DAGMatch,
    ErrorMatch,
    LineMatch,
    NameMatches,
    ParamMatch,
    RunMatch,
    TextMatches,
    UserMatch,
)
from dagbook.api.services import RunServices
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires, Role
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import approvals, dags
from dagbook.db.repositories.accounts import users
from dagbook.db.repositories.accounts.users import NamedUser
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import run_search
from dagbook.db.repositories.runs.run_list import RunListRow
from dagbook.db.repositories.runs.run_search import FoundError, FoundParam
from dagbook.db.repositories.runs.search_index import HEAD
from dagbook.definitions.queries import load_stored, parse_missing
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.logs.recent import RecentCursor, RecentHits, RecentQuery, RecentSearch, Root, Within
from dagbook.logs.search import Hit, SearchPosition
from dagbook.runs.filter_texts import read_instant

Services = NamedDependency[RunServices]

_MOST = 8  # of each kind
_MAX_QUERY = 200  # characters
_LEAST_OF_TEXT = 2
_DAYS = timedelta(days=7)
_SHOWN, _BEFORE = 400, 100  # characters of an error, and before the text in it


class _Rows(msgspec.Struct, frozen=True):
    """What was found, and which of its runs wait for an approval."""

    dags: Sequence[DagRow]
    runs: Sequence[RunListRow]
    params: Sequence[FoundParam]
    users: Sequence[NamedUser]
    waiting: Collection[int]


class SearchController(Controller):
    path = "/search"
    opt = permission(Requires.READ)
    dependencies = provide_services(RunServices)

    @get("", "searchNames", narrowed=True)
    async def search_names(
        self,
        request: ApiRequest,
        services: Services,
        caller: CurrentCaller,
        q: parameters.Query,
        runs: parameters.WithRuns = True,
    ) -> NameMatches:
        """Find DAGs by a part of a name, runs and params by how the id or value begins, and users; at most 8 of each.

        A param is found by its value, or by ``NAME=`` and the value. Users are for callers who may list them. Without
        ``runs`` there are DAGs and users alone, at once however many runs there are.
        """
        _check(q, 1)
        refused = refusal_of(services.auth.switches, caller, Requires.ADMIN)
        with_users = services.auth.has_users and not caller.visibility and not refused
        async with services.limits.search(request) if runs else nullcontext():
            found = await services.database.read(_find, q, caller, with_runs=runs, with_users=with_users)
        return NameMatches(
            dags=await _present_dags(services, caller, found.dags),
            runs=[_present_run(row, found, services.zone) for row in found.runs],
            params=[_present_param(row, found, services.zone) for row in found.params],
            users=[UserMatch(id=row.id, username=row.username, role=Role(row.role)) for row in found.users],
        )

    @get("/texts", "searchTexts", narrowed=True)
    async def search_texts(
        self,
        request: ApiRequest,
        services: Services,
        caller: CurrentCaller,
        q: parameters.Query,
        after: parameters.Since = None,
        cursor: parameters.CursorText = None,
    ) -> TextMatches:
        """Find a text, ignoring case, in errors and output of runs, the newest first, of a part of them at a time.

        These are root runs of the last seven days, or since ``after``, with their sub-runs. A response takes about two
        seconds at most; ``nextCursor``, sent as ``cursor``, continues the search.
        """
        _check(q, _LEAST_OF_TEXT)
        place = read_cursor(cursor) if cursor else None
        since = (place.since if place else None) or read_instant("after", after) or services.now() - _DAYS
        start = None
        if place is not None:
            within = Within(place.within[0], SearchPosition(*place.within[1:])) if place.within else None
            start = RecentCursor(place.position, within)
        query = RecentQuery(text=q, since=since, visibility=caller.visibility, start=start)
        async with services.limits.search(request):
            found = await RecentSearch(services.database, services.log_search).find(query)
        return _present_texts(found, query, services.zone)


def _check(text: str, least: int) -> None:
    """Check what is searched; raises BadRequestError."""
    if not least <= len(text) <= _MAX_QUERY:
        raise BadRequestError(f"q: has {len(text)} characters; give {least} to {_MAX_QUERY}")
    if "\n" in text or "\0" in text:
        raise BadRequestError("q: contains a line end or a NUL character; give text from within one line")


def _find(connection: ReadConnection, text: str, caller: Caller, *, with_runs: bool, with_users: bool) -> _Rows:
    runs = run_search.find_by_id(connection, text, caller.visibility, _MOST) if with_runs else []
    params = run_search.find_by_param(connection, text, caller.visibility, _MOST) if with_runs else []
    statuses = {row.key: row.status for row in runs} | {row.key: row.status for row in params}
    running = [key for key, status in statuses.items() if status == RunStatus.RUNNING]
    return _Rows(
        dags=dags.find_named(connection, text, caller.visibility, _MOST),
        runs=runs,
        params=params,
        users=users.find_named(connection, text, _MOST) if with_users else (),
        waiting=approvals.find_waiting(connection, running),
    )


async def _present_dags(services: RunServices, caller: Caller, rows: Sequence[DagRow]) -> list[DAGMatch]:
    await parse_missing(services.library, rows)
    (startable,) = await find_permitted(services.auth, caller, (row.dag_name for row in rows), Requires.RUN)
    times = [load_stored(services.library, row).definition.dag.schedule for row in rows]
    return [
        DAGMatch(
            file_name=row.file_name,
            name=row.dag_name,
            may_start=row.dag_name in startable,
            suspended=row.suspended,
            scheduled=bool(schedule.start or schedule.stop or schedule.restart),
        )
        for row, schedule in zip(rows, times, strict=True)
    ]


def _present_run(row: RunListRow, found: _Rows, zone: tzinfo) -> RunMatch:
    status = RunStatus(row.status)
    return RunMatch(
        name=row.dag_name,
        dag_run_id=row.run_id,
        status=status,
        status_label=status.label,
        started_at=time_text(row.started_at, zone),
        queued_at=or_unset(time_text(row.queued_at, zone)),
        waiting_for_approval=or_unset(row.key in found.waiting),
    )


def _present_param(row: FoundParam, found: _Rows, zone: tzinfo) -> ParamMatch:
    value = row.value if len(row.value) <= HEAD else f"{row.value[:HEAD]}…"
    return ParamMatch(
        name=row.dag_name,
        dag_run_id=row.run_id,
        param=f"{row.name}={value}",
        status=row.status,
        status_label=row.status.label,
        started_at=time_text(row.started_at, zone),
        waiting_for_approval=or_unset(row.key in found.waiting),
    )


def _present_texts(found: RecentHits, query: RecentQuery, zone: tzinfo) -> TextMatches:
    return TextMatches(
        errors=[_present_error(root, row, query.text, zone) for root, row in found.errors],
        lines=[_present_line(root, hit) for root, hit in found.lines],
        searched_from=time_text(found.searched_from, zone),
        runs_searched=found.roots,
        next_cursor=UNSET if found.next is None else _write_cursor(found.next, query),
    )


def _present_error(root: Root, row: FoundError, text: str, zone: tzinfo) -> ErrorMatch:
    first = max(row.error.lower().find(text.lower()) - _BEFORE, 0) if len(row.error) > _SHOWN else 0
    return ErrorMatch(
        name=root.dag_name,
        dag_run_id=root.run_id,
        sub_dag_run_id=UNSET if row.key == root.key else row.run_id,
        step_name=or_unset(row.step),
        error=row.error[first : first + _SHOWN],
        finished_at=time_text(row.finished_at, zone),
    )


def _present_line(root: Root, hit: Hit) -> LineMatch:
    return LineMatch(
        name=root.dag_name,
        dag_run_id=root.run_id,
        sub_dag_run_id=or_unset(hit.dag_run_id),
        step_name=hit.step,
        stream=hit.stream or "stdout",
        line=hit.line,
        text=hit.text,
    )


def _write_cursor(cursor: RecentCursor, query: RecentQuery) -> str:
    within = None
    if cursor.within is not None:
        place = cursor.within.position
        within = (cursor.within.root, place.step, place.stream, place.line)
    return write_cursor(cursor.after, query.since, within)
