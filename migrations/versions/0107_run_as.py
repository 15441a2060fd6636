"""Accounts under which the commands of a DAG run.

Revision ID: 0107
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0107"
down_revision: str | None = "0106"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("dags", sa.Column("run_as", sa.Text(), nullable=True))
        op.add_column("run_inputs", sa.Column("run_as", sa.Text(), nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_column("run_inputs", "run_as")
        op.drop_column("dags", "run_as")
