"""Runs are found by how long they took, and by long ids: indexes of what a whole list need not be read for.

Revision ID: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision: str | None = "0015"
branch_labels: str | None = None
depends_on: str | None = None

_INDEXES: dict[str, tuple[str | sa.TextClause, str]] = {
    "ix_runs_duration": (sa.text("(finished_at - started_at)"), "root_id IS NULL AND finished_at IS NOT NULL"),
    "ix_runs_long_id": ("run_id", "root_id IS NULL AND length(run_id) > 36"),
}


def upgrade() -> None:
    for name, (column, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "runs", [column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "runs")
