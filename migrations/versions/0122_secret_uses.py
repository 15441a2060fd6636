"""Which secrets the attempts of runs had, and in which version.

Revision ID: 0122
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0122"
down_revision: str | None = "0121"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112", "0119", "0120")
# Copied from the models, so that later changes of the models do not change this revision.
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.create_table(
            "secret_uses",
            sa.Column("run_id", KEY, autoincrement=False, nullable=False),
            sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("provider", sa.Text(), nullable=False),
            sa.Column("key", sa.Text(), nullable=False),
            sa.Column("version", sa.Integer(), nullable=True),
            sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_secret_uses_run_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("run_id", "attempt", "name", name=op.f("pk_secret_uses")),
        )
        op.create_index("ix_secret_uses_key", "secret_uses", ["provider", "key", "version"])


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_table("secret_uses")
