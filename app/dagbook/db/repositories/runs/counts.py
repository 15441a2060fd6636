"""Counts of runs and DAGs for metrics; each uses an index."""

from __future__ import annotations

from sqlalchemy import func, select

from dagbook.db.database import ReadConnection
from dagbook.db.models.definition import Dag
from dagbook.db.models.run import IS_ACTIVE, Run

_by_status = select(Run.status, func.count()).where(Run.root_id.is_(None)).group_by(Run.status)
_active = select(Run.status, func.count()).where(IS_ACTIVE).group_by(Run.status)
_dags = select(func.count()).select_from(Dag)


def count_runs(connection: ReadConnection) -> dict[int, int]:
    """Count all root runs by status."""
    return {row[0]: row[1] for row in connection.execute(_by_status)}


def count_active(connection: ReadConnection) -> dict[int, int]:
    """Count the active and queued root runs by status."""
    return {row[0]: row[1] for row in connection.execute(_active)}


def count_dags(connection: ReadConnection) -> int:
    """Count stored DAGs."""
    return connection.execute(_dags).scalar() or 0
