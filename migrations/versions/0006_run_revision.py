"""Runs of stored DAGs name the revision that they run.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.add_column("runs", sa.Column("dag_revision", sa.Integer(), nullable=True))


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.drop_column("runs", "dag_revision")
