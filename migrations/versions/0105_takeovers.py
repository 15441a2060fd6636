"""Count the take-overs of a run that its new owner has not been seen to survive.

Revision ID: 0105
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0105"
down_revision: str | None = "0103"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    # Neither engine copies the table for this, so its triggers stay. The version before inserts rows without a value.
    op.add_column("run_attempts", sa.Column("takeovers", sa.Integer(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    op.drop_column("run_attempts", "takeovers")
