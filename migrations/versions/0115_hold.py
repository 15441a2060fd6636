"""The hold of a restored database.

Revision ID: 0115
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0115"
down_revision: str | None = "0114"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112")
# Column type of this revision, copied from the models, so that later changes of the models do not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.create_table(
            "holds",
            sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("held_at", INSTANT, nullable=False),
            sa.Column("held_by", sa.Text(), nullable=True),
            sa.Column("origin", sa.Text(), nullable=False),
            sa.CheckConstraint("id = 1", name=op.f("ck_holds_only_one")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        )


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_table("holds")
