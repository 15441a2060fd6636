"""Highly selective filters, whose few runs are found first by a separate index, before the other conditions."""

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
# Skips from each name to the next one: there may be thousands of runs between two.
NAMES = _first_name.union_all(select(_next_name.scalar_subquery()).where(_first_name.c.name.is_not(None)))


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
    part = run_filter.run_id_part
    if part is None or len(part) < LONG_ID:
        return None
    contains = position(connection.dialect.name, Run.run_id, part) > 0
    equal = select(Run.id).join_from(NAMES, Run, and_(Run.dag_name == NAMES.c.name, Run.run_id == part)).where(IS_ROOT)
    return [
        *_selective_ids(connection, equal),
        *_selective_ids(connection, select(Run.id).where(IS_ROOT, IS_LONG, contains)),
    ]


def _find_by_part_of_id(connection: ReadConnection, run_filter: RunFilter) -> Sequence[int] | None:
    """Search for a part in the index of a DAG's run ids only, because reading the rows is ten times as much."""
    if not run_filter.run_id_part or run_filter.name is None:
        return None
    of_name = (IS_ROOT, Run.dag_name == run_filter.name)
    contains = position(connection.dialect.name, Run.run_id, run_filter.run_id_part) > 0
    ids = _selective_ids(
        connection, select(Run.run_id).where(*of_name, Run.run_id > "", contains)
    )  # a range condition makes SQLite use the index
    return (
        None
        if len(ids) > MAX_SELECTIVE
        else _selective_ids(connection, select(Run.id).where(*of_name, Run.run_id.in_(ids)))
    )


def _find_by_duration(connection: ReadConnection, run_filter: RunFilter) -> Sequence[int] | None:
    dialect, took, bounds = connection.dialect.name, duration(connection.dialect.name), []
    if run_filter.shortest_seconds is not None:
        bounds.append(took >= as_duration(dialect, run_filter.shortest_seconds))
    if run_filter.longest_seconds is not None:
        bounds.append(took <= as_duration(dialect, run_filter.longest_seconds))
    if not bounds:
        return None
    # Sorted, so that PostgreSQL uses the index: it assumes that any bound selects a third of the runs.
    return _selective_ids(connection, select(Run.id).where(IS_ROOT, IS_OVER, *bounds).order_by(took))


def _selective_ids(connection: ReadConnection, statement: Select[Any]) -> Sequence[Any]:
    return connection.execute(statement.limit(MAX_SELECTIVE + 1)).scalars().all()
