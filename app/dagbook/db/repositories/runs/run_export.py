"""Reads of finished runs in the order of their keys, for an export."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select

from dagbook.db.database import ReadConnection
from dagbook.db.models.run import Run
from dagbook.db.statements import all_rows
from dagbook.engine.status import RunStatus

_roots = select(Run.id, Run.dag_name, Run.run_id, Run.status).where(Run.root_id.is_(None))


class RootRun(msgspec.Struct, frozen=True, kw_only=True):
    """A root run, by key and names."""

    id: int
    dag_name: str
    run_id: str
    status: RunStatus


def count_finished(connection: ReadConnection) -> int:
    """Count the finished root runs."""
    statement = select(func.count()).select_from(Run).where(Run.root_id.is_(None), Run.finished_at.is_not(None))
    return connection.execute(statement).scalar() or 0


def find_finished_roots(connection: ReadConnection, after: int, limit: int) -> Sequence[RootRun]:
    """Return the next finished root runs after a key, by key."""
    statement = _roots.where(Run.finished_at.is_not(None), Run.id > after).order_by(Run.id).limit(limit)
    return all_rows(connection, RootRun, statement)


def find_unfinished_roots(connection: ReadConnection) -> Sequence[RootRun]:
    """Return the root runs that have not finished, by key."""
    return all_rows(connection, RootRun, _roots.where(Run.finished_at.is_(None)).order_by(Run.id))


def find_sub_runs(connection: ReadConnection, root: int) -> list[int]:
    """Return the keys of all sub-runs of a root run, callers first."""
    return list(connection.execute(select(Run.id).where(Run.root_id == root).order_by(Run.id)).scalars())
