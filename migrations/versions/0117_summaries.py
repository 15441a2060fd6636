"""How the last execution of a node was carried out, and the summaries that steps write.

Revision ID: 0117
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0117"
down_revision: str | None = "0116"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112")
# Column types of this revision, copied from the models, so that later changes of the models do not change them.
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.Text()


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("nodes", sa.Column("ran", JSON, nullable=True))
        op.add_column("nodes", sa.Column("has_summary", sa.Boolean(), nullable=False, server_default=sa.false()))
        op.create_table(
            "summaries",
            sa.Column("run_id", BIG_KEY, nullable=False),
            sa.Column("attempt", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("position", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("text", sa.Text(), nullable=False),
            sa.CheckConstraint("length(text) <= 66000", name=op.f("ck_summaries_text_short")),
            sa.ForeignKeyConstraint(
                ["run_id", "attempt", "position"],
                ["nodes.run_id", "nodes.attempt", "nodes.position"],
                name=op.f("fk_summaries_run_id_attempt_position"),
                ondelete="CASCADE",
            ),
            sa.PrimaryKeyConstraint("run_id", "attempt", "position", name=op.f("pk_summaries")),
        )


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_table("summaries")
        op.drop_column("nodes", "has_summary")
        op.drop_column("nodes", "ran")
