"""Inputs of runs that are evaluated after the commit of the run.

Revision ID: 0101
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0101"
down_revision: str | None = "0100"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    with migration(op.get_bind(), triggers="0100"):
        op.add_column("run_inputs", sa.Column("pending", sa.Text(), nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers="0100"):
        op.drop_column("run_inputs", "pending")
