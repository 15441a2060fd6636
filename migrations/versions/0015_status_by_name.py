"""The index of runs by name knows their status, so that runs of one status are found without reading all of a DAG.

Revision ID: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision: str | None = "0014"
branch_labels: str | None = None
depends_on: str | None = None

_INDEX = "ix_runs_root_name"
_IS_ROOT = sa.text("root_id IS NULL")


def upgrade() -> None:
    _make_anew(["dag_name", "created_at", "status"])


def downgrade() -> None:
    _make_anew(["dag_name", "created_at"])


def _make_anew(columns: list[str]) -> None:
    op.drop_index(_INDEX, "runs")
    op.create_index(_INDEX, "runs", columns, sqlite_where=_IS_ROOT, postgresql_where=_IS_ROOT)
