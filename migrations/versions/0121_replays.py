"""Who has replayed an event of a trigger, whose run is a start by that user.

Revision ID: 0121
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0121"
down_revision: str | None = "0120"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112", "0119", "0120")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("trigger_events", sa.Column("actor", sa.Text(), nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_column("trigger_events", "actor")
