"""The live feed: a row for every committed change that people can see.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.create_table(
            "changes",
            sa.Column("number", KEY, nullable=False),
            sa.Column("xact", sa.BigInteger(), nullable=False),
            sa.Column("at", INSTANT, nullable=False),
            sa.Column("kind", sa.Text(), nullable=False),
            sa.Column("dag_name", sa.Text(), nullable=True),
            sa.Column("run_id", sa.Text(), nullable=True),
            sa.Column("root_name", sa.Text(), nullable=True),
            sa.Column("root_run_id", sa.Text(), nullable=True),
            sa.Column("attempt", sa.Integer(), nullable=True),
            sa.Column("status", sa.SmallInteger(), nullable=True),
            sa.Column("event", sa.Integer(), nullable=True),
            sa.Column("data", sa.Text(), nullable=True),
            sa.PrimaryKeyConstraint("number", name=op.f("pk_changes")),
            sqlite_autoincrement=True,
        )
        op.create_index("ix_changes_xact", "changes", ["xact", "number"], sqlite_where=sa.text("xact > 0"))


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.drop_table("changes")
