"""The spool of a server: its id and its path, so that a server knows which executions left their files in its own.

Revision ID: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision: str | None = "0016"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("services", sa.Column("spool_id", sa.Text(), nullable=True))
    op.add_column("services", sa.Column("spool_dir", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("services", "spool_dir")
    op.drop_column("services", "spool_id")
