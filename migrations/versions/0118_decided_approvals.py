"""An index of decided approvals by time, for their history.

Revision ID: 0118
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0118"
down_revision: str | None = "0117"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        decided = sa.text("decided_at IS NOT NULL")
        op.create_index(
            "ix_approvals_decided", "approvals", ["decided_at"], sqlite_where=decided, postgresql_where=decided
        )


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_index("ix_approvals_decided", table_name="approvals")
