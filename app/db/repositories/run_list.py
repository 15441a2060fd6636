"""Lists of runs, newest first: narrowed by whatever they are looked for by, and page by page.

A bounded page goes by one index, that of what narrows it most, from the newest run on, and looks at each run for the
rest. It is over when it has looked at ``MOST_LOOKED_AT`` runs, however few of them it lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union_all
from sqlalchemy.orm import aliased

from app.db.database import ReadConnection
from app.db.models.run import Run
from app.db.models.search import RunError
from app.db.repositories.reading import Row, all_rows
from app.db.repositories.run_filter import ALL, MOST_RUNS, Lead, Page, Part, Place, RunFilter, SubRuns, parts, position
from app.db.repositories.runs import SUMMARY

MOST_LOOKED_AT = 30_000
_FEW_NAMES = 20
_Select = Select[*tuple[Any, ...]]
_Conditions = Sequence[ColumnElement[bool]]
_ERRORS = Lead((), RunError.created_at, RunError.run_id)


class Found(msgspec.Struct, frozen=True):
    """A page of runs, and the place behind which the next one begins, if there is more to look at."""

    runs: Sequence[Row]
    next: Place | None = None


_root, _parent = aliased(Run), aliased(Run)
_ABOVE = (
    _root.dag_name.label("root_name"),
    _root.run_id.label("root_run_id"),
    _parent.dag_name.label("parent_name"),
    _parent.run_id.label("parent_run_id"),
)
_first_name = select(func.min(Run.dag_name).label("name")).where(Run.root_id.is_(None)).cte("names", recursive=True)
_next_name = select(func.min(Run.dag_name)).where(Run.dag_name > _first_name.c.name, Run.root_id.is_(None))
# From each name to the one after it: there may be thousands of runs between two.
_names = _first_name.union_all(select(_next_name.scalar_subquery()).where(_first_name.c.name.is_not(None)))


def find(connection: ReadConnection, wanted: RunFilter, limit: int = MOST_RUNS) -> Sequence[Row]:
    """Return summaries of runs, newest first, ties by run id."""
    return find_page(connection, wanted, Page(limit=limit)).runs


def find_page(connection: ReadConnection, wanted: RunFilter, page: Page) -> Found:
    """Return a page of summaries of runs; those of sub-runs name their root and caller."""
    dialect = connection.dialect.name
    if not wanted.name_part or wanted.sub_runs != "exclude":
        return _find(connection, wanted, page, parts(dialect, wanted))
    names = find_names(connection, wanted.name_part)
    whole = msgspec.structs.replace(wanted, name_part=None)
    match names:
        case []:
            return Found([])
        case [name]:
            whole = msgspec.structs.replace(whole, name=name)
            return _find(connection, whole, page, parts(dialect, whole))
    if page.bounded or len(names) > _FEW_NAMES:
        return _find(connection, whole, page, parts(dialect, whole, names))
    return _cut(_rows_of(connection, names, whole, page), page)


def find_names(connection: ReadConnection, part: str) -> list[str]:
    """Return the DAG names of root runs that hold a text."""
    statement = select(_names.c.name).where(position(connection.dialect.name, _names.c.name, part) > 0)
    return [row.name for row in connection.execute(statement)]


def _find(connection: ReadConnection, wanted: RunFilter, page: Page, found: Sequence[Part]) -> Found:
    if not page.bounded:
        return _cut(_rows(connection, wanted, page, ALL, [part.plain for part in found]), page)
    lead, capped = _choose(connection, [part.lead for part in found if part.lead is not None], wanted, page)
    horizon = _find_horizon(connection, lead, wanted, page) if capped else None
    looks = [part.look for part in found if part.lead is not lead]
    if horizon is not None:
        looks.append(lead.at >= horizon)
    return _cut(_rows(connection, wanted, page, lead, looks), page, horizon)


def _cut(rows: Sequence[Row], page: Page, horizon: datetime | None = None) -> Found:
    if len(rows) > page.limit:
        last = rows[page.limit - 1]
        return Found(rows[: page.limit], Place(last["created_at"], last["run_id"], last["id"]))
    return Found(rows, None if horizon is None else Place(horizon))


def _rows_of(connection: ReadConnection, names: Sequence[str], wanted: RunFilter, page: Page) -> Sequence[Row]:
    """Look at the runs of a few DAGs, each by the index of names."""
    looks = [part.plain for part in parts(connection.dialect.name, wanted)]
    of_each = [
        _ordered(select(Run.id).where(Run.dag_name == name, Run.root_id.is_(None), *ALL.within(wanted, page), *looks))
        .limit(page.limit + 1)
        .subquery()
        for name in names
    ]
    keys = union_all(*[select(some.c.id) for some in of_each])
    return _rows(connection, RunFilter(), page, ALL, [Run.id.in_(keys)])


def _rows(connection: ReadConnection, wanted: RunFilter, page: Page, lead: Lead, looks: _Conditions) -> Sequence[Row]:
    statement = _summaries(wanted.sub_runs)
    if lead.key is not Run.id:
        statement = statement.join(lead.key.class_, lead.key == Run.id)
    statement = statement.where(*lead.within(wanted, page), *looks)
    if page.after is not None and page.after.run_id is not None:
        statement = statement.where(_behind(page.after, lead))
    return all_rows(connection, _ordered(statement, lead.at).limit(page.limit + 1))


def _ordered(statement: _Select, at: Any = Run.created_at) -> _Select:
    return statement.order_by(at.desc(), Run.run_id, Run.id)


def _summaries(sub_runs: SubRuns) -> _Select:
    if sub_runs == "exclude":
        return select(*SUMMARY).where(Run.root_id.is_(None))
    statement = select(*SUMMARY, *_ABOVE).select_from(Run)
    statement = statement.outerjoin(_root, _root.id == Run.root_id).outerjoin(_parent, _parent.id == Run.parent_id)
    return statement if sub_runs == "include" else statement.where(Run.root_id.is_not(None))


def _behind(place: Place, lead: Lead) -> ColumnElement[bool]:
    after_run = and_(Run.run_id == place.run_id, Run.id > place.key)
    return or_(lead.at < place.created_at, Run.run_id > place.run_id, after_run)


def _choose(connection: ReadConnection, leads: Sequence[Lead], wanted: RunFilter, page: Page) -> tuple[Lead, bool]:
    """Give the index that holds the fewest runs, and whether these are too many to look at all of them."""
    possible = [*leads, _ERRORS] if wanted.error else leads
    if not possible:
        return ALL, True
    counts = list(connection.execute(select(*[_count(lead, wanted, page) for lead in possible])).one())
    fewest = min(counts)
    return possible[counts.index(fewest)], fewest > MOST_LOOKED_AT


def _count(lead: Lead, wanted: RunFilter, page: Page) -> Any:
    some = select(lead.at).where(*lead.within(wanted, page)).limit(MOST_LOOKED_AT + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _find_horizon(connection: ReadConnection, lead: Lead, wanted: RunFilter, page: Page) -> datetime | None:
    """Give the time of the last run that this page looks at; None when the list ends before it."""
    statement = select(lead.at).where(*lead.within(wanted, page))
    return connection.execute(statement.order_by(lead.at.desc()).offset(MOST_LOOKED_AT).limit(1)).scalar()
