"""What lists of runs are narrowed to, and how: by an index, or by a look at each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Interval,
    and_,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute

from dagbook.db.models.run import Run
from dagbook.db.models.search import RunError, RunParam, RunTag
from dagbook.db.search_keys import index_key

MAX_RUNS = 1000
SubRuns = Literal["exclude", "include", "only"]
_Condition = ColumnElement[bool]


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of runs is narrowed to; ``since`` is inclusive, ``before`` is not.

    A run has all the ``tags`` and all the ``params`` (name and value). ``error`` is a part, in any case, of what went
    wrong in a run that is over; a duration is that of such a run, in seconds, both bounds included.
    """

    name: str | None = None
    name_part: str | None = None
    run_id_part: str | None = None
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


class RunCursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list, behind which it goes on: behind a run, or without one behind all of a moment."""

    created_at: datetime
    run_id: str | None = None
    key: int | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted; a bounded one may end early, with a place to go on."""

    limit: int = MAX_RUNS
    after: RunCursor | None = None
    bounded: bool = False


class AccessPath(msgspec.Struct, frozen=True):
    """An index to go by: what it has to hold, and its columns of time and run.

    One that is ``whole`` leads to root runs alone, or to sub-runs alone, as it is wanted.
    """

    conditions: tuple[_Condition, ...] = ()
    at: Any = Run.created_at
    key: Any = Run.id
    complete: bool = False

    def bounded(self, wanted: RunFilter, page: Page) -> list[_Condition]:
        """Narrow it to the wanted times, and to what may come behind a place.

        With one bound on each side: of two SQLite goes by the first alone, however much lies between them.
        """
        bounds = [*self.conditions]
        if wanted.since is not None:
            bounds.append(self.at >= wanted.since)
        after = page.after
        if after is None or (wanted.before is not None and wanted.before <= after.created_at):
            return bounds if wanted.before is None else [*bounds, self.at < wanted.before]
        whole = after.run_id is None
        return [*bounds, self.at < after.created_at if whole else self.at <= after.created_at]


class Predicate(msgspec.Struct, frozen=True):
    """A part of a filter: how each run is looked at, which no index must answer, and the index that could."""

    condition: _Condition
    path: AccessPath | None = None

    @property
    def unindexed(self) -> _Condition:
        """The same for the database to choose how."""
        return self.condition if self.path is None or self.path.key is not Run.id else and_(*self.path.conditions)


def base_path(wanted: RunFilter) -> AccessPath:
    """Give the index of all root runs, or that of all sub-runs."""
    family = Run.root_id.is_(None) if wanted.sub_runs == "exclude" else Run.root_id.is_not(None)
    return AccessPath((family,), complete=True)


def predicates(dialect: str, wanted: RunFilter, names: Sequence[str] = ()) -> list[Predicate]:
    """Take a filter apart; ``names`` are those of the DAGs that a part of a name means."""
    return [*_of_dag(wanted, names), *_equalities(wanted), *_related(dialect, wanted), *_of_own(dialect, wanted)]


def _of_dag(wanted: RunFilter, names: Sequence[str]) -> Iterator[Predicate]:
    if wanted.name is not None and wanted.revision is not None:
        revision = and_(_unindexed(Run.dag_name) == wanted.name, _unindexed(Run.dag_revision) == wanted.revision)
        yield Predicate(revision, AccessPath((Run.dag_name == wanted.name, Run.dag_revision == wanted.revision)))
    elif wanted.name is not None:
        yield _equal_of_root(Run.dag_name, wanted.name, wanted)
    elif wanted.revision is not None:
        yield Predicate(Run.dag_revision == wanted.revision)
    if names:
        yield Predicate(_unindexed(Run.dag_name).in_(names))


def _equalities(wanted: RunFilter) -> Iterator[Predicate]:
    if wanted.trigger is not None:
        yield Predicate(_unindexed(Run.trigger) == wanted.trigger, AccessPath((Run.trigger == wanted.trigger,)))
    if wanted.actor is not None:
        yield Predicate(_unindexed(Run.actor) == wanted.actor, AccessPath((Run.actor == wanted.actor,)))
    if wanted.status is not None:
        yield _equal_of_root(Run.status, wanted.status, wanted)


def _equal_of_root(column: InstrumentedAttribute[Any], value: object, wanted: RunFilter) -> Predicate:
    """Sub-runs have no index by such a column."""
    look = _unindexed(column) == value
    if wanted.sub_runs != "exclude":
        return Predicate(look)
    return Predicate(look, AccessPath((column == value, *base_path(wanted).conditions), complete=True))


def _unindexed(column: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """Give a column so that no index of it serves: which one is gone by was decided by counting."""
    if column.type.python_type is int:
        return column + literal_column("0")
    return column.op("||")(literal_column("''"))


def _related(dialect: str, wanted: RunFilter) -> Iterator[Predicate]:
    """Give the parts that other tables answer."""
    for tag in wanted.tags:
        given = RunTag.tag == index_key(tag)
        yield Predicate(_has(RunTag.run_id, given), AccessPath((given,), RunTag.created_at, RunTag.run_id))
    for name, value in wanted.params:
        given = and_(RunParam.name == index_key(name), RunParam.value == index_key(value))
        yield Predicate(_has(RunParam.run_id, given), AccessPath((given,), RunParam.created_at, RunParam.run_id))
    if wanted.error:
        given = position(dialect, func.lower(RunError.text), wanted.error.lower()) > 0
        yield Predicate(and_(_has(RunError.run_id, given), Run.finished_at.is_not(None)))


def _has(key: InstrumentedAttribute[int], given: _Condition) -> _Condition:
    """Look for a row beside a run. PostgreSQL would make a join of EXISTS, and read that whole table."""
    return select(literal(1)).where(key == Run.id, given).limit(1).correlate(Run).scalar_subquery().is_not(None)


def _of_own(dialect: str, wanted: RunFilter) -> Iterator[Predicate]:
    """Give the parts that only a look at a run's own row answers."""
    for column, part in ((Run.dag_name, wanted.name_part), (Run.run_id, wanted.run_id_part)):
        if part:
            yield Predicate(position(dialect, column, part) > 0)
    # By their index only few runs are looked for, see run_keys; here each run is looked at.
    lasted = duration(dialect) + as_duration(dialect, 0)
    if wanted.shortest_seconds is not None:
        yield Predicate(lasted >= as_duration(dialect, wanted.shortest_seconds))
    if wanted.longest_seconds is not None:
        yield Predicate(lasted <= as_duration(dialect, wanted.longest_seconds))


def position(
    dialect: str, column: ColumnElement[str] | InstrumentedAttribute[str], part: str | ColumnElement[str]
) -> ColumnElement[int]:
    """Look for a part with its case; SQLite's LIKE would not mind the case."""
    find: ColumnElement[int] = (func.strpos if dialect == "postgresql" else func.instr)(column, part)
    return find


def duration(dialect: str) -> ColumnElement[Any]:
    """Give how long a run took, as its index has it."""
    kind = Interval if dialect == "postgresql" else BigInteger
    return type_coerce(type_coerce(Run.finished_at, kind) - type_coerce(Run.started_at, kind), kind)


def as_duration(dialect: str, seconds: float) -> Any:
    """Give seconds as durations are compared with them."""
    given = timedelta(seconds=seconds)
    return given if dialect == "postgresql" else given // timedelta(microseconds=1)
