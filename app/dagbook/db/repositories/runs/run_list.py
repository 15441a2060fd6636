"""Filtered lists of runs, newest first, in pages.

A bounded page scans the most selective index from the newest run on, and checks the other conditions on each run. It
ends after ``MAX_SCANNED`` runs, even if few of them match.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    desc,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection, seconds
from dagbook.db.models.run import IS_ROOT, Run, RunError
from dagbook.db.repositories import dag_access
from dagbook.db.repositories.dag_access import EVERYTHING, NAMES, Sight
from dagbook.db.repositories.runs.run_filter import (
    MAX_RUNS,
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
from dagbook.db.types import UtcDateTime

MAX_SCANNED = 5_000
_MAX_NAMES = 20
_FEW, _NEAR = 100, 3  # runs of a short page, and how many times as many are looked at first
_LAST = datetime.max.replace(tzinfo=UTC)
_Select = Select[*tuple[Any, ...]]
_Runs = Sequence[Sequence[Any]]
_Conditions = Sequence[ColumnElement[bool]]
_ERRORS = AccessPath((), RunError.created_at, RunError.run_id)


class RunListRow(NamedTuple):
    """Columns of a run in lists; times in whole seconds since 1970. The last four are set for sub-runs."""

    key: int
    created_at: Any  # the stored value, for the cursor
    dag_name: str
    run_id: str
    status: int  # the stored number, which needs no conversion
    params_text: str
    queued_at: int | None
    started_at: int | None
    finished_at: int | None
    revision: int | None
    root_name: str | None = None
    root_run_id: str | None = None
    parent_name: str | None = None
    parent_run_id: str | None = None


class RunPage(msgspec.Struct, frozen=True):
    """A page of runs, each with the values of ``RunListRow``, and the cursor of the next page, if there is one."""

    runs: Sequence[Sequence[Any]]
    next: RunCursor | None = None


_parent = aliased(Run)
_LINEAGE_COLUMNS = (ROOT.dag_name, ROOT.run_id, _parent.dag_name, _parent.run_id)


def _list_columns(dialect: str) -> tuple[Any, ...]:
    """Return the columns of ``RunListRow`` in types that need no conversion, which is half the time of a long list."""
    times = (seconds(dialect, column) for column in (Run.queued_at, Run.started_at, Run.finished_at))
    created_at = type_coerce(Run.created_at, DateTime(timezone=True) if dialect == "postgresql" else BigInteger)
    status = type_coerce(Run.status, Integer)
    return (Run.id, created_at, Run.dag_name, Run.run_id, status, Run.params_text, *times, Run.dag_revision)


_LIST_COLUMNS = {dialect: _list_columns(dialect) for dialect in ("sqlite", "postgresql")}
# The most common filters.
_COMMON: dict[str, ColumnElement[bool]] = {
    "name": Run.dag_name == bindparam("name"),
    "status": Run.status == bindparam("status"),
    "since": Run.created_at >= bindparam("since"),
    "before": Run.created_at < bindparam("before"),
}
# SQLite would use the index of statuses and scan runs of all DAGs; the index of names also contains the status.
_BY_NAME = {**_COMMON, "status": Run.status + literal_column("0") == bindparam("status")}


@lru_cache(256)
def _common(dialect: str, fields: tuple[str, ...], sight: Sight) -> _Select:
    conditions = _BY_NAME if dialect == "sqlite" and "name" in fields else _COMMON
    visible = dag_access.narrow(Run.dag_name, sight)
    statement = _select(dialect, "exclude").where(*[conditions[name] for name in fields], *visible)
    return _ordered(statement).limit(bindparam("most", type_=Integer))


def find(connection: ReadConnection, run_filter: RunFilter, limit: int = MAX_RUNS) -> list[RunListRow]:
    """Return runs, newest first, ties by run id."""
    return [RunListRow(*run) for run in find_page(connection, run_filter, Page(limit=limit)).runs]


def find_page(connection: ReadConnection, run_filter: RunFilter, page: Page) -> RunPage:
    """Return a page of runs, newest first, ties by run id."""
    if run_filter.sub_runs == "include":
        # Root runs and sub-runs have separate indexes.
        roots = find_page(connection, msgspec.structs.replace(run_filter, sub_runs="exclude"), page)
        children = find_page(connection, msgspec.structs.replace(run_filter, sub_runs="only"), page)
        return _merge(connection, [roots, children], page)
    visible = _find_visible(connection, run_filter, page)
    if visible is None and (not run_filter.name_part or run_filter.sub_runs == "only"):
        return _find(connection, run_filter, page)
    names = find_names(connection, run_filter.name_part or "") if visible is None else visible
    by_names = msgspec.structs.replace(run_filter, name_part=None)
    if len(names) == 1:
        names = list(dag_access.find_visible(connection, names, run_filter.sight))
    match names:
        case []:
            return RunPage([])
        case [name]:
            return _find(connection, msgspec.structs.replace(by_names, name=name, sight=EVERYTHING), page)
    if page.bounded or len(names) > _MAX_NAMES:
        return _find(connection, by_names, page, names)
    return _page(connection, _rows_of(connection, names, by_names, page), page)


def _find_visible(connection: ReadConnection, run_filter: RunFilter, page: Page) -> list[str] | None:
    """Return the visible names if they are few, so that a long list does not read the runs of all others."""
    if not run_filter.sight or run_filter.name is not None or run_filter.sub_runs == "only" or page.bounded:
        return None
    names = dag_access.find_names(connection, run_filter.sight, _MAX_NAMES + 1)
    part = run_filter.name_part or ""
    return None if len(names) > _MAX_NAMES else [name for name in names if part in name]


def _merge(connection: ReadConnection, pages: Sequence[RunPage], page: Page) -> RunPage:
    """Merge two lists, up to the first cursor after which one of them is not known yet."""
    cursors = sorted((one.next for one in pages if one.next is not None), key=_sort_key)
    runs = sorted((run for one in pages for run in one.runs), key=lambda run: _sort_key(_cursor_of(connection, run)))
    if cursors:
        runs = [run for run in runs if _sort_key(_cursor_of(connection, run)) <= _sort_key(cursors[0])]
    if len(runs) > page.limit:
        return RunPage(runs[: page.limit], _cursor_of(connection, runs[page.limit - 1]))
    return RunPage(runs, cursors[0] if cursors else None)


def _sort_key(cursor: RunCursor) -> tuple[timedelta, bool, str, int]:
    """Return the sort key of a cursor in a list; one without a run is after all runs of its creation time."""
    return _LAST - cursor.created_at, cursor.run_id is None, cursor.run_id or "", cursor.key or 0


def _cursor_of(connection: ReadConnection, run: Sequence[Any]) -> RunCursor:
    listed = RunListRow(*run)
    created_at = UtcDateTime().process_result_value(listed.created_at, connection.dialect)
    assert created_at is not None  # noqa: S101 - every run has one
    return RunCursor(created_at, listed.run_id, listed.key)


_part = bindparam("part", type_=String)
_names = {dialect: select(NAMES.c.name).where(position(dialect, NAMES.c.name, _part) > 0) for dialect in _LIST_COLUMNS}


def find_names(connection: ReadConnection, part: str) -> list[str]:
    """Return the DAG names of root runs that contain a text."""
    return list(connection.scalars(_names[connection.dialect.name], {"part": part}))


def _find(connection: ReadConnection, run_filter: RunFilter, page: Page, names: Sequence[str] = ()) -> RunPage:
    common = {name: value for name in _COMMON if (value := getattr(run_filter, name)) is not None}
    if not page.bounded and not names and run_filter == RunFilter(**common, sight=run_filter.sight):
        statement = _common(connection.dialect.name, tuple(common), run_filter.sight)
        return _page(connection, connection.execute(statement, {**common, "most": page.limit + 1}).all(), page)
    found = predicates(connection.dialect.name, run_filter, names)
    selective = find_selective_ids(connection, run_filter, bounded=page.bounded)
    if selective is not None:
        return _find_among(connection, selective, run_filter, page, [part.condition for part in found])
    if not page.bounded:
        if run_filter.run_id_part and len(found) == 1:
            return _page(connection, _rows_of_ids(connection, run_filter, page, found[0].condition), page)
        conditions = [part.unindexed for part in found]
        return _page(connection, _rows(connection, run_filter, page, base_path(run_filter), conditions), page)
    path, capped = _choose(connection, [part.path for part in found if part.path is not None], run_filter, page)
    conditions = [part.condition for part in found if part.path is not path]
    scan_end = None
    if capped and (conditions or not path.complete):
        # The creation time of the last run that this page may scan; None when the list ends before it.
        scanned = select(path.at).where(*path.bounded(run_filter, page)).order_by(path.at.desc())
        scan_end = connection.execute(scanned.offset(MAX_SCANNED).limit(1)).scalar()
    if scan_end is not None:
        run_filter = msgspec.structs.replace(run_filter, since=scan_end)
    return _page(connection, _rows(connection, run_filter, page, path, conditions), page, scan_end)


def find_near(connection: ReadConnection, run_filter: RunFilter, page: Page) -> RunPage | None:
    """Return the first page of visible root runs if it is among the newest ones, where most are visible; else None.

    It looks up the names of a few times as many runs as the page has, where other lists look first how far they may
    scan, or merge the runs of each visible name. Of the filter only status, times and sight may be set.
    """
    if page.after is not None:
        return None
    given = {name: value for name in ("status", "since", "before") if (value := getattr(run_filter, name)) is not None}
    near = _NEAR * max(page.limit, _FEW)
    end = connection.execute(_nth_newest(tuple(given)), {**given, "near": near}).scalar()
    bounds = given if end is None else {**given, "since": end}
    statement = _common(connection.dialect.name, tuple(bounds), run_filter.sight)
    runs = connection.execute(statement, {**bounds, "most": page.limit + 1}).all()
    return _page(connection, runs, page) if end is None or len(runs) > page.limit else None


@lru_cache(16)
def _nth_newest(fields: tuple[str, ...]) -> _Select:
    """Select the creation time of the run behind the newest ones of a filter; nothing if there are fewer."""
    newest = select(Run.created_at).where(IS_ROOT, *[_COMMON[name] for name in fields])
    return newest.order_by(Run.created_at.desc()).offset(bindparam("near", type_=Integer)).limit(1)


def _find_among(
    connection: ReadConnection, keys: Sequence[int], run_filter: RunFilter, page: Page, conditions: _Conditions
) -> RunPage:
    if not keys:
        return RunPage([])
    return _page(connection, _rows(connection, run_filter, page, AccessPath((Run.id.in_(keys),)), conditions), page)


def _rows_of_ids(
    connection: ReadConnection, run_filter: RunFilter, page: Page, condition: ColumnElement[bool]
) -> _Runs:
    """Search for parts of ids in the index only, because reading the rows is ten times as much."""
    within = base_path(run_filter).bounded(run_filter, page)
    found = _ordered(select(Run.created_at, Run.run_id).where(*within, condition)).limit(page.limit + 1).subquery()
    same = and_(Run.created_at == found.c.created_at, Run.run_id == found.c.run_id)
    statement = _select(connection.dialect.name, run_filter.sub_runs).join(found, same)
    return connection.execute(_ordered(statement, found.c.created_at).limit(page.limit + 1)).all()


def _page(connection: ReadConnection, runs: _Runs, page: Page, scan_end: datetime | None = None) -> RunPage:
    if len(runs) <= page.limit:
        return RunPage(runs, None if scan_end is None else RunCursor(scan_end))
    return RunPage(runs[: page.limit], _cursor_of(connection, runs[page.limit - 1]))


def _rows_of(connection: ReadConnection, names: Sequence[str], run_filter: RunFilter, page: Page) -> _Runs:
    """Return runs of a few DAGs, each by the index of names, which contains the times, so that few rows are read."""
    conditions = [part.unindexed for part in predicates(connection.dialect.name, run_filter)]

    def of_each(column: Any, since: datetime | None) -> list[_Select]:
        within = base_path(run_filter).bounded(msgspec.structs.replace(run_filter, since=since), page)
        return [select(column).where(Run.dag_name == name, *within, *conditions) for name in names]

    times: Sequence[Any] = of_each(Run.created_at.label("at"), run_filter.since)
    if connection.dialect.name == "postgresql":  # which, unlike SQLite, would read all rows instead of merging
        newest = [each.order_by(Run.created_at.desc()).limit(page.limit + 1).subquery() for each in times]
        times = [select(each.c.at) for each in newest]
    last = union_all(*times).order_by(desc("at")).offset(page.limit).limit(1)
    keys = union_all(*of_each(Run.id, connection.execute(last).scalar() or run_filter.since))
    return _rows(connection, RunFilter(), page, AccessPath(), [Run.id.in_(keys)])


def _rows(
    connection: ReadConnection, run_filter: RunFilter, page: Page, path: AccessPath, conditions: _Conditions
) -> _Runs:
    statement = _select(connection.dialect.name, run_filter.sub_runs)
    if path.key is not Run.id:
        statement = statement.join(path.key.class_, path.key == Run.id)
    statement = statement.where(*path.bounded(run_filter, page), *conditions)
    after = page.after
    if after is not None and after.run_id is not None:
        after_run = and_(Run.run_id == after.run_id, Run.id > after.key)
        statement = statement.where(or_(path.at < after.created_at, Run.run_id > after.run_id, after_run))
    return connection.execute(_ordered(statement, path.at).limit(page.limit + 1)).all()


def _ordered(statement: _Select, at: Any = Run.created_at) -> _Select:
    return statement.order_by(at.desc(), Run.run_id, Run.id)


def _select(dialect: str, sub_runs: SubRuns) -> _Select:
    if sub_runs == "exclude":
        return select(*_LIST_COLUMNS[dialect]).where(Run.root_id.is_(None))
    statement = select(*_LIST_COLUMNS[dialect], *_LINEAGE_COLUMNS).select_from(Run).where(Run.root_id.is_not(None))
    return statement.join(ROOT, ROOT.id == Run.root_id).join(_parent, _parent.id == Run.parent_id)


def _choose(
    connection: ReadConnection, paths: Sequence[AccessPath], run_filter: RunFilter, page: Page
) -> tuple[AccessPath, bool]:
    """Return the index with the fewest runs, and whether these are more than one page may scan."""
    possible = [*paths, _ERRORS] if run_filter.error else paths
    if len(possible) < 2:  # noqa: PLR2004 - nothing to compare
        return next(iter(possible), base_path(run_filter)), True
    scans = [select(path.at).where(*path.bounded(run_filter, page)).limit(MAX_SCANNED + 1) for path in possible]
    columns: list[Any] = [select(func.count()).select_from(scan.subquery()).scalar_subquery() for scan in scans]
    counts = list(connection.execute(select(*columns)).one())
    fewest = min(counts)
    return possible[counts.index(fewest)], fewest > MAX_SCANNED
