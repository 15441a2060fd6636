"""Filters and paging of lists of runs, read from a request."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from dagbook.api.params import parameters
from dagbook.api.params.cursors import read_cursor, write_cursor
from dagbook.api.services import RunReadServices
from dagbook.auth.audit_context import Caller
from dagbook.db.repositories.runs.run_filter import MAX_RUNS, Page, RunCursor, RunFilter
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.runs.filter_texts import read_instant, read_seconds, split_param

_MAX_VALUES, _MAX_ERROR = 10, 1000
_MAX_REVISION = 2**31 - 1
_STATUSES = frozenset(map(int, RunStatus))
# Parameters that may be repeated.
REPEATED = ("tag", "param")


class PageOptions(msgspec.Struct, frozen=True):
    """Requested page, and the lower bound of a list without dates: that of the first page, 00:00 UTC of its day."""

    page: Page
    since: datetime


class RunSearch(msgspec.Struct, frozen=True):
    """Filter of runs, and the requested page."""

    filter: RunFilter
    page: Page

    def cursor(self, position: RunCursor | None) -> str | UnsetType:
        """Return the cursor of the next page; unset after the last one."""
        return UNSET if position is None else write_cursor(position, self.filter.since)


def provide_start_filter(
    run_filter: NamedDependency[RunFilter],
    tag: parameters.Tags = None,
    param: parameters.RunParams = None,
    trigger: parameters.Trigger = None,
    actor: parameters.Actor = None,
    revision: parameters.RevisionFilter = None,
) -> RunFilter:
    """Add the filters by how runs were started; raises BadRequestError naming the field."""
    for field, values in (("tag", tag), ("param", param)):
        if len(values or ()) > _MAX_VALUES:
            raise BadRequestError(f"{field}: is given more than {_MAX_VALUES} times")
    if revision is not None and not 1 <= revision <= _MAX_REVISION:
        raise BadRequestError(f"revision: {revision} is not a revision number; these start at 1")
    return replace(
        run_filter,
        tags=tuple(text.strip().lower() for text in tag or () if text.strip()),
        params=tuple(split_param(text) for text in param or () if text),
        trigger=trigger or None,
        actor=actor or None,
        revision=revision,
    )


def provide_run_search(  # noqa: PLR0913, PLR0917 - one for each filter
    start_filter: NamedDependency[RunFilter],
    run_page: NamedDependency[PageOptions],
    sub_runs: parameters.SubRuns = "exclude",
    min_duration: parameters.MinDuration = None,
    max_duration: parameters.MaxDuration = None,
    error: parameters.ErrorPart = None,
    waiting_for_approval: parameters.WaitingForApproval = None,
    replaced: parameters.Replaced = False,
) -> RunSearch:
    """Add the filters by sub-runs and by how runs finished, and the page; raises BadRequestError naming the field.

    The page is bounded when any filter beyond the contract's is used.
    """
    if len(error or "") > _MAX_ERROR:
        raise BadRequestError(f"error: is longer than {_MAX_ERROR} characters")
    found = replace(
        start_filter,
        sub_runs=sub_runs,
        shortest_seconds=read_seconds("minDuration", min_duration),
        longest_seconds=read_seconds("maxDuration", max_duration),
        error=error or "",
        replaced=replaced,
    )
    if waiting_for_approval is not None:  # only running runs wait, and these have an index
        status = RunStatus.RUNNING if found.status is None else found.status
        found = replace(found, status=status, waiting=waiting_for_approval)
    page = run_page.page
    return RunSearch(found, page if found == _contracts(found) else replace(page, bounded=True))


def _contracts(filter: RunFilter) -> RunFilter:  # noqa: A002 - the builtin is not used here
    """Return the part of a filter that the contract has."""
    return RunFilter(
        status=filter.status,
        since=filter.since,
        before=filter.before,
        run_id_part=filter.run_id_part,
        visibility=filter.visibility,
    )


def provide_run_page(
    services: NamedDependency[SkipValidation[RunReadServices]],
    caller: NamedDependency[SkipValidation[object]],  # noqa: ARG001 - for the order: a task each would cost ten times as much
    limit: parameters.RunLimit = None,
    cursor: parameters.CursorText = None,
) -> PageOptions:
    """Make the paging options; raises BadRequestError for a limit out of range or an invalid cursor."""
    if limit is not None and not 1 <= limit <= MAX_RUNS:
        raise BadRequestError(f"limit: {limit} is outside 1 to {MAX_RUNS}")
    start = read_cursor(cursor) if cursor else None
    bounded = start is not None or limit is not None
    page = Page(limit=limit or MAX_RUNS, after=start.position if start else None, bounded=bounded)
    today = services.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return PageOptions(page, (start.since if start else None) or today)


def provide_run_filter(
    caller: NamedDependency[Caller],
    run_page: NamedDependency[PageOptions],
    status: parameters.Status = None,
    from_date: parameters.FromDate = None,
    to_date: parameters.ToDate = None,
    dag_run_id: parameters.RunIdPart = None,
) -> RunFilter:
    """Return the contract's filters and what the caller sees; without dates, runs created since 00:00 UTC today."""
    since = read_instant("fromDate", from_date)
    if from_date is None and to_date is None:
        since = run_page.since
    before = read_instant("toDate", to_date)
    return RunFilter(
        status=status, since=since, before=before, run_id_part=dag_run_id or None, visibility=caller.visibility
    )


def can_match(filter: RunFilter) -> bool:  # noqa: A002 - the builtin is not used here
    """Whether any run can match: no text in the database contains a NUL, and no status is unknown."""
    texts = (filter.name, filter.name_part, filter.run_id_part, filter.trigger, filter.actor, filter.error)
    more = (*filter.tags, *(text for param in filter.params for text in param))
    nul = any("\0" in text for text in (*texts, *more) if text)
    return not nul and (filter.status is None or filter.status in _STATUSES)


def is_index_only(filter: RunFilter) -> bool:  # noqa: A002 - the builtin is not used here
    """Whether an index leads from each matching run to the next, so that no other run is read."""
    return filter == RunFilter(name=filter.name, status=filter.status, since=filter.since, before=filter.before) and (
        filter.name is None or filter.status is None
    )
