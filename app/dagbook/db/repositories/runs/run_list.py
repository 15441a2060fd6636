"""Filtered lists of runs, newest first, in pages.

Every page is one statement: it scans the most selective index from the cursor on, and checks the other conditions on
each run. A bounded page ends after ``MAX_SCANNED`` runs, even if few of them match.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    String,
    Text,
    and_,
    bindparam,
    case,
    desc,
    func,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection
from dagbook.db.models.run import Run, RunAttempt, RunError
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, NAMES
from dagbook.db.repositories.runs.replacements import IS_REPLACED
from dagbook.db.repositories.runs.run_filter import (
    ROOT,
    AccessPath,
    Page,
    RunCursor,
    RunFilter,
    SubRuns,
    base_path,
    find_selective_ids,
    position,
    predicates,
)
from dagbook.db.repositories.runs.runs import ENDED_BADLY, EngineFields
from dagbook.db.statements import milliseconds
from dagbook.db.types import UtcDateTime
from dagbook.json_values import Json

MAX_SCANNED = 5_000
_MAX_NAMES = 20
_FEW, _NEAR = 100, 3  # runs of a short page, and how many times as many are looked at first
_LAST = datetime.max.replace(tzinfo=UTC)
_Conditions = Sequence[ColumnElement[bool]]
_ERRORS = AccessPath((), RunError)
_part = bindparam("part", type_=String)
_names_with = {
    dialect: select(NAMES.c.name).where(position(dialect, NAMES.c.name, _part) > 0)
    for dialect in ("sqlite", "postgresql")
}
_parent = aliased(Run)
_state = select(type_coerce(RunAttempt.state, Text)).where(
    RunAttempt.run_id == Run.id, RunAttempt.number == Run.attempt
)
# A join would look for the attempts of all runs.
_state_of_bad_end = case((ENDED_BADLY, _state.correlate(Run).scalar_subquery()))


class RunListRow(NamedTuple):
    """A run in a list; times are read in milliseconds since 1970. The last four are set for sub-runs.

    ``state_json`` has the engine state of the attempt of a run that failed or was aborted. ``is_replaced`` is whether a
    batch has done it again as another run.
    """

    key: int
    created_at: datetime | int  # as it is stored, for the cursor
    dag_name: str
    run_id: str
    status: int  # the stored number, which needs no conversion
    params_text: str
    queued_at: datetime | int | None
    started_at: datetime | int | None
    finished_at: datetime | int | None
    revision: int | None
    error: str | None
    state_json: str | None
    is_replaced: bool | int
    root_name: str | None
    root_run_id: str | None
    parent_name: str | None
    parent_run_id: str | None

    @property
    def state(self) -> dict[str, Json] | None:
        """The engine state of the attempt of a run that failed or was aborted."""
        return None if self.state_json is None else msgspec.json.decode(self.state_json)

    @property
    def failing_position(self) -> int | None:
        """The position of the node that is the reason why the run failed or was aborted."""
        return EngineFields.of(self.state).error_key if self.error else None

    def cursor(self, connection: ReadConnection) -> RunCursor:
        """Return the position after this run."""
        created_at = UtcDateTime().process_result_value(self.created_at, connection.dialect)
        assert created_at is not None  # noqa: S101 - every run has one
        return RunCursor(created_at, self.run_id, self.key)


class RunPage(msgspec.Struct, frozen=True):
    """A page of runs, and the cursor of the next page, if there is one."""

    runs: Sequence[RunListRow]
    next: RunCursor | None = None


def find_page(connection: ReadConnection, run_filter: RunFilter, page: Page) -> RunPage:
    """Return a page of runs, newest first, ties by run id."""
    if run_filter.sub_runs == "include":  # root runs and sub-runs have separate indexes
        kinds: tuple[SubRuns, ...] = ("exclude", "only")
        return _merge(
            connection, [find_page(connection, replace(run_filter, sub_runs=kind), page) for kind in kinds], page
        )
    names = _find_names(connection, run_filter, page)
    match names:
        case None:
            return _find(connection, run_filter, page)
        case []:
            return RunPage([])
        case [name]:
            return _find(connection, _with_name(run_filter, name), page)
    return _find(connection, replace(run_filter, name_part=None), page, names)


def narrow(connection: ReadConnection, run_filter: RunFilter, page: Page) -> RunFilter:
    """Return the filter with the name of a DAG instead of a part of it, if only one name has the part."""
    names = _find_names(connection, run_filter, page)
    return run_filter if names is None or len(names) != 1 else _with_name(run_filter, names[0])


def _with_name(run_filter: RunFilter, name: str) -> RunFilter:
    return replace(run_filter, name_part=None, name=name, visibility=EVERYTHING)


def _find_names(connection: ReadConnection, run_filter: RunFilter, page: Page) -> list[str] | None:
    """Return the DAG names that the filter allows, if it says so, or if few are visible; None if it does not.

    With few visible names an unbounded list does not read the runs of all others.
    """
    part, visibility = run_filter.name_part or "", run_filter.visibility
    if run_filter.sub_runs == "only":
        return None
    if visibility and run_filter.name is None and not page.bounded:
        visible = dag_access.find_names(connection, visibility, _MAX_NAMES + 1)
        if len(visible) <= _MAX_NAMES:
            return [name for name in visible if part in name]
    if not part:
        return None
    names = find_names(connection, part)
    return list(dag_access.find_visible(connection, names, visibility)) if len(names) == 1 else names


def find_names(connection: ReadConnection, part: str) -> list[str]:
    """Return the DAG names of root runs that contain a text."""
    return list(connection.scalars(_names_with[connection.dialect.name], {"part": part}))


def _merge(connection: ReadConnection, pages: Sequence[RunPage], page: Page) -> RunPage:
    """Merge two lists, up to the first cursor after which one of them is not known yet."""
    cursors = sorted((one.next for one in pages if one.next is not None), key=_sort_key)
    found = [(_sort_key(run.cursor(connection)), run) for one in pages for run in one.runs]
    runs = [run for key, run in sorted(found) if not cursors or key <= _sort_key(cursors[0])]
    if len(runs) > page.limit:
        return _page(connection, runs, page, None)
    return RunPage(runs, cursors[0] if cursors else None)


def _sort_key(cursor: RunCursor) -> tuple[timedelta, bool, str, int]:
    """Return the sort key of a cursor in a list; one without a run is after all runs of its creation time."""
    return _LAST - cursor.created_at, cursor.run_id is None, cursor.run_id or "", cursor.key or 0


def _page(connection: ReadConnection, runs: Sequence[RunListRow], page: Page, scan_end: datetime | None) -> RunPage:
    if len(runs) <= page.limit:
        return RunPage(runs, None if scan_end is None else RunCursor(scan_end))
    return RunPage(runs[: page.limit], runs[page.limit - 1].cursor(connection))


def _find(connection: ReadConnection, run_filter: RunFilter, page: Page, names: Sequence[str] = ()) -> RunPage:
    found = predicates(connection.dialect.name, run_filter, names)
    keys = find_selective_ids(connection, run_filter, bounded=page.bounded)
    ends: Iterable[datetime | None] = (None,)
    if keys is not None:
        path = AccessPath((Run.id.in_(keys),))
    elif 1 < len(names) <= _MAX_NAMES and not page.bounded:
        path, found = _path_of_names(connection, names, run_filter, page), []
    else:
        path = _choose(connection, [part.path for part in found if part.path is not None], run_filter, page)
        if not path.complete or any(part.path is not path for part in found):
            ends = _scan_ends(connection, path, run_filter, page)
    is_plain = connection.dialect.name == "postgresql" and not page.bounded
    conditions = [part.plain if is_plain else part.condition for part in found if part.path is not path]
    conditions += run_filter.hidden
    for end in ends:
        within = run_filter if end is None else replace(run_filter, since=end)
        runs = _read(connection, within, page, path, conditions)
        if len(runs) > page.limit:
            break
    return _page(connection, runs, page, end)


def _scan_ends(
    connection: ReadConnection, path: AccessPath, run_filter: RunFilter, page: Page
) -> Iterator[datetime | None]:
    """Yield the creation times down to which an index is scanned for a page, until it is full: None is the end.

    Where most runs match, a page is among the newest ones: so few are looked at first.
    """
    near = _NEAR * max(page.limit, _FEW)
    counts = [near] if run_filter.visibility and not page.bounded else []
    if page.bounded:
        most = page.scans or MAX_SCANNED
        counts = [near, most] if near <= most // _NEAR else [most]
    scanned = select(path.at).where(*path.bounded(run_filter, page)).order_by(path.at.desc()).limit(1)
    for count in counts:
        end = connection.execute(scanned.offset(count)).scalar()
        yield end
        if end is None:
            return
    if not page.bounded:
        yield None


def _choose(connection: ReadConnection, paths: Sequence[AccessPath], run_filter: RunFilter, page: Page) -> AccessPath:
    """Return the index with the fewest runs, counted up to those that one page may scan.

    Of the few filters of unbounded lists the first one is best: the index of names contains the status.
    """
    possible = [*paths, _ERRORS] if run_filter.error else paths
    if len(possible) < 2 or not page.bounded:  # noqa: PLR2004 - nothing to compare
        return next(iter(possible), base_path(run_filter))
    scans = [select(path.at).where(*path.bounded(run_filter, page)).limit(MAX_SCANNED + 1) for path in possible]
    columns = [select(func.count()).select_from(scan.subquery()).scalar_subquery() for scan in scans]
    counts = list(connection.execute(select(*columns)).one())
    return possible[counts.index(min(counts))]


def _path_of_names(connection: ReadConnection, names: Sequence[str], run_filter: RunFilter, page: Page) -> AccessPath:
    """Return the runs of a few DAGs that match and may be on a page.

    Those of each DAG are found by the index of names, which contains the times.
    """
    conditions = [part.plain for part in predicates(connection.dialect.name, run_filter)] + run_filter.hidden

    def of_each(since: datetime | None) -> list[_Conditions]:
        within = base_path(run_filter).bounded(replace(run_filter, since=since), page)
        return [(Run.dag_name == name, *within, *conditions) for name in names]

    times = [select(Run.created_at.label("at")).where(*each) for each in of_each(run_filter.since)]
    if connection.dialect.name == "postgresql":  # which, unlike SQLite, would read all rows instead of merging
        newest = [each.order_by(Run.created_at.desc()).limit(page.limit + 1).subquery() for each in times]
        times = [select(each.c.at) for each in newest]
    last = union_all(*times).order_by(desc("at")).offset(page.limit).limit(1)
    since = connection.execute(last).scalar() or run_filter.since
    keys = union_all(*(select(Run.id).where(*each) for each in of_each(since)))
    return AccessPath((Run.id.in_(keys),), has_bounds=True)


def _read(
    connection: ReadConnection, run_filter: RunFilter, page: Page, path: AccessPath, conditions: _Conditions
) -> list[RunListRow]:
    statement = _select(connection.dialect.name, run_filter.sub_runs)
    if path.table is not Run:
        statement = statement.join(path.table, path.table.run_id == Run.id)
    statement = statement.where(*path.bounded(run_filter, page), *conditions)
    after = page.after
    if after is not None and after.run_id is not None:
        after_run = and_(Run.run_id == after.run_id, Run.id > after.key)
        statement = statement.where(or_(path.at < after.created_at, Run.run_id > after.run_id, after_run))
    statement = statement.order_by(path.at.desc(), Run.run_id, Run.id).limit(page.limit + 1)
    # The driver's own rows: they need no conversion, and those of SQLAlchemy cost as much as the whole statement.
    cursor = connection.execute(statement).cursor
    assert cursor is not None  # noqa: S101 - it is a SELECT
    return list(map(RunListRow._make, cursor.fetchall()))


@cache
def _select(dialect: str, sub_runs: SubRuns) -> Select[*tuple[object, ...]]:
    """Select the columns of ``RunListRow`` in types that need no conversion: half the time of a long list."""
    times = [milliseconds(dialect, column) for column in (Run.queued_at, Run.started_at, Run.finished_at)]
    created_at = type_coerce(Run.created_at, DateTime(timezone=True) if dialect == "postgresql" else BigInteger)
    status = type_coerce(Run.status, Integer)
    names = (Run.id, created_at, Run.dag_name, Run.run_id)
    own = (*names, status, Run.params_text, *times, Run.dag_revision, Run.error, _state_of_bad_end, IS_REPLACED)
    if sub_runs == "exclude":
        return select(*own, null(), null(), null(), null()).where(Run.root_id.is_(None))
    lineage = (ROOT.dag_name, ROOT.run_id, _parent.dag_name, _parent.run_id)
    statement = select(*own, *lineage).select_from(Run).where(Run.root_id.is_not(None))
    return statement.join(ROOT, ROOT.id == Run.root_id).join(_parent, _parent.id == Run.parent_id)
