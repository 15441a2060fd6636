"""Sessions: one row for each login.

Revision ID: 0108
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0108"
down_revision: str | None = "0107"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103")
# The column type of this revision, copied from the models, so that later changes of the models do not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.create_table(
            "sessions",
            sa.Column("id", sa.Text(), nullable=False),
            sa.Column("user_id", sa.Text(), nullable=False),
            sa.Column("is_browser", sa.Boolean(), nullable=False),
            sa.Column("address", sa.Text(), nullable=False),
            sa.Column("agent", sa.Text(), nullable=False),
            sa.Column("created_at", INSTANT, nullable=False),
            sa.Column("last_used_at", INSTANT, nullable=False),
            sa.Column("expires_at", INSTANT, nullable=False),
            sa.Column("ended_at", INSTANT, nullable=True),
            sa.Column("ended_as", sa.Text(), nullable=True),
            sa.CheckConstraint("length(id) BETWEEN 1 AND 64", name=op.f("ck_sessions_id_length")),
            sa.CheckConstraint("length(agent) <= 200", name=op.f("ck_sessions_agent_length")),
            sa.CheckConstraint("expires_at >= created_at", name=op.f("ck_sessions_expires_later")),
            sa.CheckConstraint("(ended_at IS NULL) = (ended_as IS NULL)", name=op.f("ck_sessions_end_complete")),
            sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        )
        op.create_index("ix_sessions_user_id_created_at", "sessions", ["user_id", "created_at"])


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_table("sessions")
