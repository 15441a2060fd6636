"""Runs of which there are few, found at once by an index of their own, whatever else is wanted of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, func, select

from dagbook.db.database import ReadConnection
from dagbook.db.models.run import IS_LONG, IS_OVER, IS_ROOT, LONG_ID, Run
from dagbook.db.repositories.runs.run_filter import RunFilter, as_duration, duration, position

MAX_SELECTIVE = 1000
_first_name = select(func.min(Run.dag_name).label("name")).where(Run.root_id.is_(None)).cte("names", recursive=True)
_next_name = select(func.min(Run.dag_name)).where(Run.dag_name > _first_name.c.name, Run.root_id.is_(None))
# From each name to the one after it: there may be thousands of runs between two.
NAMES = _first_name.union_all(select(_next_name.scalar_subquery()).where(_first_name.c.name.is_not(None)))


def find_selective_ids(connection: ReadConnection, wanted: RunFilter, *, bounded: bool) -> Sequence[int] | None:
    """Return the keys of all runs that may be wanted; None where no index says that they are few."""
    if wanted.sub_runs != "exclude":
        return None
    for find in (_find_by_id, _find_by_duration) if bounded else (_find_by_id, _find_by_part_of_id, _find_by_duration):
        keys = find(connection, wanted)
        if keys is not None and len(keys) <= MAX_SELECTIVE:
            return keys
    return None


def _find_by_id(connection: ReadConnection, wanted: RunFilter) -> Sequence[int] | None:
    """Look for the run of a whole id, and for longer ids that hold it, which have an index: hardly any run has one."""
    part = wanted.run_id_part
    if part is None or len(part) < LONG_ID:
        return None
    holds = position(connection.dialect.name, Run.run_id, part) > 0
    own = select(Run.id).join_from(NAMES, Run, and_(Run.dag_name == NAMES.c.name, Run.run_id == part)).where(IS_ROOT)
    return [
        *_selective_ids(connection, own),
        *_selective_ids(connection, select(Run.id).where(IS_ROOT, IS_LONG, holds)),
    ]


def _find_by_part_of_id(connection: ReadConnection, wanted: RunFilter) -> Sequence[int] | None:
    """Look for a part in the index of a DAG's ids alone: the rows themselves are ten times as much to read."""
    if not wanted.run_id_part or wanted.name is None:
        return None
    of_name = (IS_ROOT, Run.dag_name == wanted.name)
    holds = position(connection.dialect.name, Run.run_id, wanted.run_id_part) > 0
    ids = _selective_ids(
        connection, select(Run.run_id).where(*of_name, Run.run_id > "", holds)
    )  # a range makes SQLite go by it
    return (
        None
        if len(ids) > MAX_SELECTIVE
        else _selective_ids(connection, select(Run.id).where(*of_name, Run.run_id.in_(ids)))
    )


def _find_by_duration(connection: ReadConnection, wanted: RunFilter) -> Sequence[int] | None:
    dialect, lasted, bounds = connection.dialect.name, duration(connection.dialect.name), []
    if wanted.shortest_seconds is not None:
        bounds.append(lasted >= as_duration(dialect, wanted.shortest_seconds))
    if wanted.longest_seconds is not None:
        bounds.append(lasted <= as_duration(dialect, wanted.longest_seconds))
    if not bounds:
        return None
    # In this order, so that PostgreSQL goes by the index: it takes any bound for one that a third of the runs keep.
    return _selective_ids(connection, select(Run.id).where(IS_ROOT, IS_OVER, *bounds).order_by(lasted))


def _selective_ids(connection: ReadConnection, statement: Select[Any]) -> Sequence[Any]:
    return connection.execute(statement.limit(MAX_SELECTIVE + 1)).scalars().all()
