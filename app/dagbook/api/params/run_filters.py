"""What lists of runs are narrowed to and which page of them is wanted, read from a request."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from litestar.di import NamedDependency
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from dagbook.api.params import parameters
from dagbook.api.params.cursors import read_cursor, write_cursor
from dagbook.api.services import AppServices
from dagbook.db.repositories.runs.run_filter import MAX_RUNS, Page, RunCursor, RunFilter, SubRuns
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.spec.time.duration import duration_seconds

_LATEST_SECONDS = 253_402_300_799  # the end of the year 9999
_MOST_VALUES, _LONGEST_ERROR = 10, 1000
_MAX_DURATION = 1e9
_MAX_REVISION = 2**31 - 1
_STATUSES = frozenset(map(int, RunStatus))
# What may be given several times.
REPEATED = ("tag", "param")


class PageOptions(msgspec.Struct, frozen=True):
    """Which page is wanted, and where the first one began."""

    page: Page = Page()
    since: datetime | None = None


class RunSearch(msgspec.Struct, frozen=True):
    """Which runs are wanted, and which page of them."""

    filter: RunFilter
    page: Page

    def cursor(self, place: RunCursor | None) -> str | UnsetType:
        """Write where the next page begins; nothing behind the last one."""
        return UNSET if place is None else write_cursor(place, self.filter.since)


class StartFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What runs were started with and by."""

    tags: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    trigger: str | None = None
    actor: str | None = None
    revision: int | None = None
    sub_runs: SubRuns = "exclude"


class OutcomeFilters(msgspec.Struct, frozen=True, kw_only=True):
    """How runs ended."""

    shortest_seconds: float | None = None
    longest_seconds: float | None = None
    error: str = ""


_NO_MARKS, _NO_ENDS = StartFilters(), OutcomeFilters()


def provide_start_filters(
    tag: parameters.Tags = None,
    param: parameters.RunParams = None,
    trigger: parameters.Trigger = None,
    actor: parameters.Actor = None,
    revision: parameters.RevisionFilter = None,
    sub_runs: parameters.SubRuns = "exclude",
) -> StartFilters:
    """Gather what is said of how runs began."""
    for field, values in (("tag", tag), ("param", param)):
        if len(values or ()) > _MOST_VALUES:
            raise BadRequestError(f"{field}: is given more than {_MOST_VALUES} times")
    if revision is not None and not 1 <= revision <= _MAX_REVISION:
        raise BadRequestError(f"revision: {revision} is no number of a revision; they count from 1")
    return StartFilters(
        tags=tuple(one.strip().lower() for one in tag or () if one.strip()),
        params=tuple(_split_param(one) for one in param or () if one),
        trigger=trigger or None,
        actor=actor or None,
        revision=revision,
        sub_runs=sub_runs,
    )


def _split_param(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadRequestError(f"param: {shorten(text)} is no NAME=value")
    return name, value


def provide_outcome_filters(
    min_duration: parameters.MinDuration = None,
    max_duration: parameters.MaxDuration = None,
    error: parameters.ErrorPart = None,
) -> OutcomeFilters:
    """Gather what is said of how runs ended."""
    if len(error or "") > _LONGEST_ERROR:
        raise BadRequestError(f"error: is longer than {_LONGEST_ERROR} characters")
    return OutcomeFilters(
        shortest_seconds=_seconds("minDuration", min_duration),
        longest_seconds=_seconds("maxDuration", max_duration),
        error=error or "",
    )


def _seconds(field: str, text: str | None) -> float | None:
    if not text:
        return None
    seconds = duration_seconds(f"{text}s" if text[-1].isdigit() else text)
    if seconds is None or not 0 <= seconds <= _MAX_DURATION:
        raise BadRequestError(
            f"{field}: {shorten(text)} is no duration; write seconds, or for instance 90s, 5m or 1h30m"
        )
    return seconds


def provide_run_page(limit: parameters.RunLimit = None, cursor: parameters.CursorText = None) -> PageOptions:
    """Read which page is wanted."""
    if limit is not None and not 1 <= limit <= MAX_RUNS:
        raise BadRequestError(f"limit: {limit} is outside 1 to {MAX_RUNS}")
    if not cursor:
        return PageOptions(Page(limit=limit or MAX_RUNS, bounded=limit is not None))
    begin = read_cursor(cursor)
    return PageOptions(Page(limit=limit or MAX_RUNS, after=begin.place, bounded=True), begin.since)


def provide_run_filter(
    parts: NamedDependency[AppServices],
    run_page: NamedDependency[PageOptions],
    status: parameters.Status = None,
    from_date: parameters.FromDate = None,
    to_date: parameters.ToDate = None,
    dag_run_id: parameters.RunIdPart = None,
) -> RunFilter:
    """Gather what a list of runs is narrowed to; without dates, to those created since 00:00 UTC today."""
    since = read_instant("fromDate", from_date)
    if from_date is None and to_date is None:
        since = run_page.since or _midnight(parts.now())
    before = read_instant("toDate", to_date)
    return RunFilter(status=status, since=since, before=before, run_id_part=dag_run_id or None)


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def provide_run_search(
    run_filter: NamedDependency[RunFilter],
    run_page: NamedDependency[PageOptions],
    run_marks: NamedDependency[StartFilters],
    run_ends: NamedDependency[OutcomeFilters],
) -> RunSearch:
    """Gather all that a list of runs is narrowed to, and the page; any filter but the contract's bounds the page."""
    if run_marks == _NO_MARKS and run_ends == _NO_ENDS:
        return RunSearch(run_filter, run_page.page)
    more = {**msgspec.structs.asdict(run_marks), **msgspec.structs.asdict(run_ends)}
    return RunSearch(replace(run_filter, **more), replace(run_page.page, bounded=True))


def read_instant(field: str, seconds: int | None) -> datetime | None:
    """Read a Unix time in seconds; raises BadRequestError."""
    if seconds is None:
        return None
    if not 0 <= seconds <= _LATEST_SECONDS:
        raise BadRequestError(f"{field}: {seconds} is no Unix time in seconds")
    return datetime.fromtimestamp(seconds, UTC)


def can_match(wanted: RunFilter) -> bool:
    """Whether any run can have what is wanted: no text in the database holds a NUL, and statuses are few."""
    texts = (wanted.name, wanted.name_part, wanted.run_id_part, wanted.trigger, wanted.actor, wanted.error)
    more = (*wanted.tags, *(text for param in wanted.params for text in param))
    nul = any("\0" in text for text in (*texts, *more) if text)
    return not nul and (wanted.status is None or wanted.status in _STATUSES)


def is_index_only(wanted: RunFilter) -> bool:
    """Whether an index leads from one run that is wanted to the next, so that none is looked at in vain."""
    return wanted == RunFilter(name=wanted.name, status=wanted.status, since=wanted.since, before=wanted.before) and (
        wanted.name is None or wanted.status is None
    )
