"""Filters of run lists, and what they ask of a run: predicates, each with the index that it could use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Interval,
    Select,
    SQLColumnExpression,
    and_,
    func,
    literal,
    literal_column,
    not_,
    select,
)
from sqlalchemy import type_coerce as as_type
from sqlalchemy.orm import InstrumentedAttribute, aliased

from dagbook.db.database import ReadConnection
from dagbook.db.models.run import IS_LONG, IS_OVER, IS_ROOT, LONG_ID, Run, RunError, RunParam, RunTag
from dagbook.db.repositories import approvals
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, NAMES, Visibility
from dagbook.db.repositories.runs.replacements import IS_REPLACED
from dagbook.db.repositories.runs.search_index import index_key
from dagbook.engine.status import BAD_ENDS

MAX_RUNS = 1000
MAX_SELECTIVE = 1000
SubRuns = Literal["exclude", "include", "only"]
_Condition = ColumnElement[bool]
_Text = ColumnElement[str] | InstrumentedAttribute[str]
_Column = InstrumentedAttribute[object]
T = TypeVar("T")
ROOT = aliased(Run)  # of a sub-run


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filter of a list of runs; ``since`` is inclusive, ``before`` is exclusive.

    A run must have all ``tags`` and all ``params`` (name and value). ``error`` is a part of the errors of a finished
    run, ignoring case; the durations are those of finished runs in seconds, both bounds inclusive. ``waiting`` is
    whether a step of a running run waits for an approval. ``visibility`` is about the name of the run, or of the root
    of a sub-run. ``run_id_prefix`` is for one part of the id, like ``run_id_part``: a filter has one of them. With a
    bad ``status`` runs that a batch has replaced are left out, unless ``replaced``.
    """

    name: str | None = None
    name_part: str | None = None
    run_id_part: str | None = None
    run_id_prefix: str | None = None
    status: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    tags: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    trigger: str | None = None
    actor: str | None = None
    revision: int | None = None
    shortest_seconds: float | None = None
    longest_seconds: float | None = None
    error: str = ""
    sub_runs: SubRuns = "exclude"
    waiting: bool | None = None
    replaced: bool = False
    visibility: Visibility = EVERYTHING

    @property
    def hidden(self) -> list[_Condition]:
        """The condition of runs that count as failures no more, which no index serves: they are few."""
        return [not_(IS_REPLACED)] if self.status in BAD_ENDS and not self.replaced else []


class RunCursor(msgspec.Struct, frozen=True, array_like=True):
    """Position in a list, after which the next page starts: after a run, or after all runs of a creation time."""

    created_at: datetime
    run_id: str | None = None
    key: int | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Requested part of a list; a bounded page may end early, with a cursor to continue from.

    ``scans`` is after how many runs; without it after those that a list may read.
    """

    limit: int = MAX_RUNS
    after: RunCursor | None = None
    bounded: bool = False
    scans: int | None = None


class AccessPath(msgspec.Struct, frozen=True):
    """An index to scan: conditions on its columns, and its table, which has the creation time and the key of runs.

    A ``complete`` one contains only root runs or only sub-runs, as the filter requests; one that ``has_bounds`` only
    runs of the time range and after the cursor's time.
    """

    conditions: tuple[_Condition, ...] = ()
    table: type[Run | RunTag | RunParam | RunError] = Run
    complete: bool = False
    has_bounds: bool = False

    @property
    def at(self) -> SQLColumnExpression[datetime]:
        """The creation time."""
        return self.table.created_at

    def bounded(self, run_filter: RunFilter, page: Page) -> list[_Condition]:
        """Return the conditions with the filter's time range and the cursor's creation time.

        With only one bound on each side, because of two SQLite uses only the first one for the index, even if it
        selects many more rows.
        """
        if self.has_bounds:
            return [*self.conditions]
        bounds = [*self.conditions]
        if run_filter.since is not None:
            bounds.append(self.at >= run_filter.since)
        after = page.after
        if after is None or (run_filter.before is not None and run_filter.before <= after.created_at):
            return bounds if run_filter.before is None else [*bounds, self.at < run_filter.before]
        is_exclusive = after.run_id is None
        return [*bounds, self.at < after.created_at if is_exclusive else self.at <= after.created_at]


class Predicate(msgspec.Struct, frozen=True):
    """A part of a filter: a condition on each run that uses no index, and the index that it could use."""

    condition: _Condition
    path: AccessPath | None = None

    @property
    def plain(self) -> _Condition:
        """The condition as it is in the index, which PostgreSQL then checks without the row."""
        return self.condition if self.path is None or self.path.table is not Run else and_(*self.path.conditions)


def base_path(run_filter: RunFilter) -> AccessPath:
    """Return the index of all root runs, or of all sub-runs."""
    condition = Run.root_id.is_(None) if run_filter.sub_runs == "exclude" else Run.root_id.is_not(None)
    return AccessPath((condition,), complete=True)


def predicates(dialect: str, run_filter: RunFilter, names: Sequence[str] = ()) -> list[Predicate]:
    """Split a filter into predicates; ``names`` are the DAG names that contain the filter's ``name_part``."""
    return [
        *_of_columns(run_filter, names),
        *_of_other_tables(dialect, run_filter),
        *map(Predicate, _without_index(dialect, run_filter)),
        *_visible(run_filter.sub_runs, run_filter.visibility),
    ]


@lru_cache(64)
def _visible(sub_runs: SubRuns, visibility: Visibility) -> list[Predicate]:
    name = Run.dag_name if sub_runs == "exclude" else ROOT.dag_name
    return [Predicate(condition) for condition in dag_access.narrow(name, visibility)]


def _of_columns(run_filter: RunFilter, names: Sequence[str]) -> Iterator[Predicate]:
    name, revision = (Run.dag_name, run_filter.name), (Run.dag_revision, run_filter.revision)
    if run_filter.name is not None and run_filter.revision is not None:
        yield _equal(AccessPath(), name, revision)
    elif run_filter.name is not None:
        yield _of_roots(run_filter, name)
    elif run_filter.revision is not None:
        yield Predicate(Run.dag_revision == run_filter.revision)
    if names:
        yield Predicate(_unindexed(Run.dag_name).in_(names))
    if run_filter.trigger is not None:
        yield _equal(AccessPath(), (Run.trigger, run_filter.trigger))
    if run_filter.actor is not None:
        yield _equal(AccessPath(), (Run.actor, run_filter.actor))
    if run_filter.status is not None:
        yield _of_roots(run_filter, (Run.status, run_filter.status))


def _of_roots(run_filter: RunFilter, pair: tuple[_Column, object]) -> Predicate:
    """Return the predicate of a column that is indexed only for root runs."""
    return _equal(base_path(run_filter) if run_filter.sub_runs == "exclude" else None, pair)


def _equal(path: AccessPath | None, *pairs: tuple[_Column, object]) -> Predicate:
    """Return the predicate that columns have these values, and the index of them within a path."""
    condition = and_(*(_unindexed(column) == value for column, value in pairs))
    if path is None:
        return Predicate(condition)
    indexed = (*(column == value for column, value in pairs), *path.conditions)
    return Predicate(condition, msgspec.structs.replace(path, conditions=indexed))


def _unindexed(column: _Column) -> ColumnElement[object]:
    """Return an expression of a column that no index matches: the index to use is chosen by counting."""
    if issubclass(column.type.python_type, int):
        return column + literal_column("0")
    return column.op("||")(literal_column("''"))


def _of_other_tables(dialect: str, run_filter: RunFilter) -> Iterator[Predicate]:
    for tag in run_filter.tags:
        given = RunTag.tag == index_key(tag)
        yield Predicate(_has(RunTag.run_id, given), AccessPath((given,), RunTag))
    for name, value in run_filter.params:
        given = and_(RunParam.name == index_key(name), RunParam.value == index_key(value))
        yield Predicate(_has(RunParam.run_id, given), AccessPath((given,), RunParam))
    if run_filter.error:
        given = position(dialect, func.lower(RunError.text), run_filter.error.lower()) > 0
        yield Predicate(and_(_has(RunError.run_id, given), Run.finished_at.is_not(None)))


def _has(key: InstrumentedAttribute[int], given: _Condition) -> _Condition:
    """Return the condition that a related row exists. PostgreSQL would turn EXISTS into a join that scans the table."""
    return select(literal(1)).where(key == Run.id, given).limit(1).correlate(Run).scalar_subquery().is_not(None)


def _without_index(dialect: str, run_filter: RunFilter) -> Iterator[_Condition]:
    """Yield the conditions on a run's own row that no index serves, but for few runs: see ``find_selective_ids``."""
    for column, part in ((Run.dag_name, run_filter.name_part), (Run.run_id, run_filter.run_id_part)):
        if part:
            yield position(dialect, column, part) > 0
    if run_filter.run_id_prefix:
        yield begins(Run.run_id, run_filter.run_id_prefix)
    if run_filter.shortest_seconds is not None or run_filter.longest_seconds is not None:
        yield from _durations(dialect, run_filter, _duration(dialect) + _as_duration(dialect, 0))
    if run_filter.waiting is not None:
        yield approvals.IS_WAITING if run_filter.waiting else not_(approvals.IS_WAITING)


def _durations(dialect: str, run_filter: RunFilter, took: ColumnElement[object]) -> Iterator[_Condition]:
    if run_filter.shortest_seconds is not None:
        yield took >= _as_duration(dialect, run_filter.shortest_seconds)
    if run_filter.longest_seconds is not None:
        yield took <= _as_duration(dialect, run_filter.longest_seconds)


def position(dialect: str, column: _Text, part: str | ColumnElement[str]) -> ColumnElement[int]:
    """Return the position of a part in a text, case-sensitive, which SQLite's LIKE is not."""
    find: ColumnElement[int] = (func.strpos if dialect == "postgresql" else func.instr)(column, part)
    return find


def begins(column: _Text, text: str) -> _Condition:
    """Return the condition that a column begins with a text, whatever the collation of the database."""
    return func.substr(column, 1, len(text)) == text


def _duration(dialect: str) -> ColumnElement[object]:
    """Return the expression of a run's duration, as in its index."""
    kind = Interval if dialect == "postgresql" else BigInteger
    return as_type(as_type(Run.finished_at, kind) - as_type(Run.started_at, kind), kind)


def _as_duration(dialect: str, seconds: float) -> timedelta | int:
    interval = timedelta(seconds=seconds)
    return interval if dialect == "postgresql" else interval // timedelta(microseconds=1)


def find_selective_ids(connection: ReadConnection, run_filter: RunFilter, *, bounded: bool) -> Sequence[int] | None:
    """Return the keys of all runs that may match; None when no index shows that they are few."""
    if run_filter.sub_runs != "exclude":
        return None
    for find in (_find_by_id, _find_by_duration) if bounded else (_find_by_id, _find_by_part_of_id, _find_by_duration):
        keys = find(connection, run_filter)
        if keys is not None and len(keys) <= MAX_SELECTIVE:
            return keys
    return None


def _find_by_id(connection: ReadConnection, run_filter: RunFilter) -> Sequence[int] | None:
    """Find the run with a complete id, and longer ids that contain it, which are rare and have an index."""
    part = run_filter.run_id_prefix or run_filter.run_id_part
    if part is None or len(part) < LONG_ID:
        return None
    equal = select(Run.id).join_from(NAMES, Run, and_(Run.dag_name == NAMES.c.name, Run.run_id == part)).where(IS_ROOT)
    longer = select(Run.id).where(IS_ROOT, IS_LONG, position(connection.dialect.name, Run.run_id, part) > 0)
    return [*_selective(connection, equal), *_selective(connection, longer)]


def _find_by_part_of_id(connection: ReadConnection, run_filter: RunFilter) -> Sequence[int] | None:
    """Search for a part in the index of a DAG's run ids only, because reading the rows is ten times as much."""
    if not run_filter.run_id_part or run_filter.name is None:
        return None
    of_name = (IS_ROOT, Run.dag_name == run_filter.name)
    contains = position(connection.dialect.name, Run.run_id, run_filter.run_id_part) > 0
    # A range condition makes SQLite use the index.
    ids = _selective(connection, select(Run.run_id).where(*of_name, Run.run_id > "", contains))
    return (
        None
        if len(ids) > MAX_SELECTIVE
        else _selective(connection, select(Run.id).where(*of_name, Run.run_id.in_(ids)))
    )


def _find_by_duration(connection: ReadConnection, run_filter: RunFilter) -> Sequence[int] | None:
    if run_filter.shortest_seconds is None and run_filter.longest_seconds is None:
        return None
    took = _duration(connection.dialect.name)
    bounds = _durations(connection.dialect.name, run_filter, took)
    # Sorted, so that PostgreSQL uses the index: it assumes that any bound selects a third of the runs.
    return _selective(connection, select(Run.id).where(IS_ROOT, IS_OVER, *bounds).order_by(took))


def _selective(connection: ReadConnection, statement: Select[T]) -> Sequence[T]:
    return connection.execute(statement.limit(MAX_SELECTIVE + 1)).scalars().all()
