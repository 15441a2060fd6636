"""Lists of runs, newest first: narrowed by whatever they are looked for by, and page by page.

A bounded page goes by one index, that of what narrows it most, from the newest run on, and looks at each run for the
rest. It is over when it has looked at ``MOST_LOOKED_AT`` runs, however few of them it lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
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

from dagbook.db.database import ReadConnection
from dagbook.db.models.run import Run
from dagbook.db.models.search import RunError
from dagbook.db.repositories.rows import seconds
from dagbook.db.repositories.runs.run_filter import (
    MAX_RUNS,
    AccessPath,
    Page,
    RunCursor,
    RunFilter,
    SubRuns,
    base_path,
    position,
    predicates,
)
from dagbook.db.repositories.runs.selective_filters import NAMES, find_selective_ids
from dagbook.db.types import UtcDateTime

MAX_SCANNED = 5_000
_MAX_NAMES = 20
_LAST = datetime.max.replace(tzinfo=UTC)
_Select = Select[*tuple[Any, ...]]
_Runs = Sequence[Sequence[Any]]
_Conditions = Sequence[ColumnElement[bool]]
_ERRORS = AccessPath((), RunError.created_at, RunError.run_id)


class RunListRow(NamedTuple):
    """What lists show of a run; times in whole seconds since 1970. The last four are those of a sub-run."""

    key: int
    created_at: Any  # as it is stored, for the place behind the run
    dag_name: str
    run_id: str
    status: int
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
    """A page of runs, each with the values of ``Listed``, and where the next page begins, if there is more to see."""

    runs: Sequence[Sequence[Any]]
    next: RunCursor | None = None


_root, _parent = aliased(Run), aliased(Run)
_ABOVE = (_root.dag_name, _root.run_id, _parent.dag_name, _parent.run_id)


def _shown(dialect: str) -> tuple[Any, ...]:
    """Give the columns of ``Listed``, of types that the driver gives as they are: that is half of a long list."""
    times = (seconds(dialect, column) for column in (Run.queued_at, Run.started_at, Run.finished_at))
    created_at = type_coerce(Run.created_at, DateTime(timezone=True) if dialect == "postgresql" else BigInteger)
    return (Run.id, created_at, Run.dag_name, Run.run_id, Run.status, Run.params_text, *times, Run.dag_revision)


_SHOWN = {dialect: _shown(dialect) for dialect in ("sqlite", "postgresql")}
# What lists are mostly narrowed to, if to anything.
_COMMON: dict[str, ColumnElement[bool]] = {
    "name": Run.dag_name == bindparam("name"),
    "status": Run.status == bindparam("status"),
    "since": Run.created_at >= bindparam("since"),
    "before": Run.created_at < bindparam("before"),
}
# SQLite would rather go by the index of statuses, through the runs of all DAGs; that of names knows the status too.
_BY_NAME = {**_COMMON, "status": Run.status + literal_column("0") == bindparam("status")}


@cache
def _common(dialect: str, narrowed: tuple[str, ...]) -> _Select:
    looks = _BY_NAME if dialect == "sqlite" and "name" in narrowed else _COMMON
    statement = _select(dialect, "exclude").where(*[looks[name] for name in narrowed])
    return _ordered(statement).limit(bindparam("most", type_=Integer))


def find(connection: ReadConnection, wanted: RunFilter, limit: int = MAX_RUNS) -> list[RunListRow]:
    """Return runs, newest first, ties by run id."""
    return [RunListRow(*run) for run in find_page(connection, wanted, Page(limit=limit)).runs]


def find_page(connection: ReadConnection, wanted: RunFilter, page: Page) -> RunPage:
    """Return a page of runs, newest first, ties by run id."""
    if wanted.sub_runs == "include":
        return _merge(connection, [find_page(connection, one, page) for one in _split(wanted)], page)
    if not wanted.name_part or wanted.sub_runs == "only":
        return _find(connection, wanted, page)
    names = find_names(connection, wanted.name_part)
    whole = msgspec.structs.replace(wanted, name_part=None)
    match names:
        case []:
            return RunPage([])
        case [name]:
            return _find(connection, msgspec.structs.replace(whole, name=name), page)
    if page.bounded or len(names) > _MAX_NAMES:
        return _find(connection, whole, page, names)
    return _page(connection, _rows_of(connection, names, whole, page), page)


def _split(wanted: RunFilter) -> Iterator[RunFilter]:
    """Ask for root runs and for sub-runs, which have indexes of their own."""
    yield msgspec.structs.replace(wanted, sub_runs="exclude")
    yield msgspec.structs.replace(wanted, sub_runs="only")


def _merge(connection: ReadConnection, pages: Sequence[RunPage], page: Page) -> RunPage:
    """Make one list of two, as far as both are known."""
    places = sorted((one.next for one in pages if one.next is not None), key=_order)
    runs = sorted((run for one in pages for run in one.runs), key=lambda run: _order(_place(connection, run)))
    if places:
        runs = [run for run in runs if _order(_place(connection, run)) <= _order(places[0])]
    if len(runs) > page.limit:
        return RunPage(runs[: page.limit], _place(connection, runs[page.limit - 1]))
    return RunPage(runs, places[0] if places else None)


def _order(place: RunCursor) -> tuple[timedelta, bool, str, int]:
    """Sort places as lists have them; one without a run is behind all runs of its moment."""
    return _LAST - place.created_at, place.run_id is None, place.run_id or "", place.key or 0


def _place(connection: ReadConnection, run: Sequence[Any]) -> RunCursor:
    listed = RunListRow(*run)
    created_at = UtcDateTime().process_result_value(listed.created_at, connection.dialect)
    assert created_at is not None  # noqa: S101 - every run has one
    return RunCursor(created_at, listed.run_id, listed.key)


def _named(dialect: str) -> _Select:
    return select(NAMES.c.name).where(position(dialect, NAMES.c.name, bindparam("part", type_=String)) > 0)


_names = {dialect: _named(dialect) for dialect in _SHOWN}


def find_names(connection: ReadConnection, part: str) -> list[str]:
    """Return the DAG names of root runs that hold a text."""
    return list(connection.scalars(_names[connection.dialect.name], {"part": part}))


def _find(connection: ReadConnection, wanted: RunFilter, page: Page, names: Sequence[str] = ()) -> RunPage:
    usual = {name: value for name in _COMMON if (value := getattr(wanted, name)) is not None}
    if not page.bounded and not names and wanted == RunFilter(**usual):
        return _page(connection, _rows_of_common(connection, usual, page.limit + 1), page)
    found = predicates(connection.dialect.name, wanted, names)
    few = find_selective_ids(connection, wanted, bounded=page.bounded)
    if few is not None:
        return _find_among(connection, few, wanted, page, [part.condition for part in found])
    if not page.bounded:
        if wanted.run_id_part and len(found) == 1:
            return _page(connection, _rows_of_ids(connection, wanted, page, found[0].condition), page)
        looks = [part.unindexed for part in found]
        return _page(connection, _rows(connection, wanted, page, base_path(wanted), looks), page)
    lead, capped = _choose(connection, [part.path for part in found if part.path is not None], wanted, page)
    looks = [part.condition for part in found if part.path is not lead]
    horizon = None
    if capped and (looks or not lead.complete):
        horizon = _find_scan_end(connection, lead, wanted, page)
    if horizon is not None:
        wanted = msgspec.structs.replace(wanted, since=horizon)
    return _page(connection, _rows(connection, wanted, page, lead, looks), page, horizon)


def _rows_of_common(connection: ReadConnection, usual: dict[str, Any], most: int) -> _Runs:
    statement = _common(connection.dialect.name, tuple(usual))
    return connection.execute(statement, {**usual, "most": most}).all()


def _find_among(
    connection: ReadConnection, keys: Sequence[int], wanted: RunFilter, page: Page, looks: _Conditions
) -> RunPage:
    if not keys:
        return RunPage([])
    return _page(connection, _rows(connection, wanted, page, AccessPath((Run.id.in_(keys),)), looks), page)


def _rows_of_ids(connection: ReadConnection, wanted: RunFilter, page: Page, look: ColumnElement[bool]) -> _Runs:
    """Look for parts of ids in the index alone: the rows themselves are ten times as much to read."""
    within = base_path(wanted).bounded(wanted, page)
    found = _ordered(select(Run.created_at, Run.run_id).where(*within, look)).limit(page.limit + 1).subquery()
    same = and_(Run.created_at == found.c.created_at, Run.run_id == found.c.run_id)
    statement = _select(connection.dialect.name, wanted.sub_runs).join(found, same)
    return connection.execute(_ordered(statement, found.c.created_at).limit(page.limit + 1)).all()


def _page(connection: ReadConnection, runs: _Runs, page: Page, horizon: datetime | None = None) -> RunPage:
    if len(runs) <= page.limit:
        return RunPage(runs, None if horizon is None else RunCursor(horizon))
    return RunPage(runs[: page.limit], _place(connection, runs[page.limit - 1]))


def _rows_of(connection: ReadConnection, names: Sequence[str], wanted: RunFilter, page: Page) -> _Runs:
    """Look at the runs of a few DAGs, each by the index of names, which knows their times: so few rows are read."""
    looks = [part.unindexed for part in predicates(connection.dialect.name, wanted)]

    def of_each(column: Any, since: datetime | None) -> list[_Select]:
        within = base_path(wanted).bounded(msgspec.structs.replace(wanted, since=since), page)
        return [select(column).where(Run.dag_name == name, *within, *looks) for name in names]

    times: Sequence[Any] = of_each(Run.created_at.label("at"), wanted.since)
    if connection.dialect.name == "postgresql":  # SQLite merges what is sorted already, PostgreSQL would read all of it
        newest = [each.order_by(Run.created_at.desc()).limit(page.limit + 1).subquery() for each in times]
        times = [select(each.c.at) for each in newest]
    last = union_all(*times).order_by(desc("at")).offset(page.limit).limit(1)
    keys = union_all(*of_each(Run.id, connection.execute(last).scalar() or wanted.since))
    return _rows(connection, RunFilter(), page, AccessPath(), [Run.id.in_(keys)])


def _rows(connection: ReadConnection, wanted: RunFilter, page: Page, lead: AccessPath, looks: _Conditions) -> _Runs:
    statement = _select(connection.dialect.name, wanted.sub_runs)
    if lead.key is not Run.id:
        statement = statement.join(lead.key.class_, lead.key == Run.id)
    statement = statement.where(*lead.bounded(wanted, page), *looks)
    if page.after is not None and page.after.run_id is not None:
        statement = statement.where(_after(page.after, lead))
    return connection.execute(_ordered(statement, lead.at).limit(page.limit + 1)).all()


def _ordered(statement: _Select, at: Any = Run.created_at) -> _Select:
    return statement.order_by(at.desc(), Run.run_id, Run.id)


def _select(dialect: str, sub_runs: SubRuns) -> _Select:
    if sub_runs == "exclude":
        return select(*_SHOWN[dialect]).where(Run.root_id.is_(None))
    statement = select(*_SHOWN[dialect], *_ABOVE).select_from(Run).where(Run.root_id.is_not(None))
    return statement.join(_root, _root.id == Run.root_id).join(_parent, _parent.id == Run.parent_id)


def _after(place: RunCursor, lead: AccessPath) -> ColumnElement[bool]:
    after_run = and_(Run.run_id == place.run_id, Run.id > place.key)
    return or_(lead.at < place.created_at, Run.run_id > place.run_id, after_run)


def _choose(
    connection: ReadConnection, leads: Sequence[AccessPath], wanted: RunFilter, page: Page
) -> tuple[AccessPath, bool]:
    """Give the index that holds the fewest runs, and whether these may be too many to look at all of them."""
    possible = [*leads, _ERRORS] if wanted.error else leads
    if len(possible) < 2:  # noqa: PLR2004 - there is nothing to compare
        return next(iter(possible), base_path(wanted)), True
    counts = list(connection.execute(select(*[_count(lead, wanted, page) for lead in possible])).one())
    fewest = min(counts)
    return possible[counts.index(fewest)], fewest > MAX_SCANNED


def _count(lead: AccessPath, wanted: RunFilter, page: Page) -> Any:
    some = select(lead.at).where(*lead.bounded(wanted, page)).limit(MAX_SCANNED + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _find_scan_end(connection: ReadConnection, lead: AccessPath, wanted: RunFilter, page: Page) -> datetime | None:
    """Give the time of the last run that this page looks at; None when the list ends before it."""
    statement = select(lead.at).where(*lead.bounded(wanted, page))
    return connection.execute(statement.order_by(lead.at.desc()).offset(MAX_SCANNED).limit(1)).scalar()
