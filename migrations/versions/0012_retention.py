"""What people set for the runs of a DAG to be kept, and the runs that are being removed piece by piece.

Revision ID: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0012"
down_revision: str | None = "0011"
branch_labels: str | None = None
depends_on: str | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        op.create_table(
            "dag_retention",
            sa.Column("dag_id", KEY, autoincrement=False, nullable=False),
            sa.Column("days", sa.Integer(), nullable=True),
            sa.Column("runs", sa.Integer(), nullable=True),
            sa.Column("log_bytes", sa.BigInteger(), nullable=True),
            sa.Column("set_at", INSTANT, nullable=False),
            sa.Column("set_by", sa.Text(), nullable=True),
            sa.CheckConstraint(
                "days >= -1 AND runs >= -1 AND log_bytes >= -1", name=op.f("ck_dag_retention_limits_from_minus_one")
            ),
            sa.ForeignKeyConstraint(["dag_id"], ["dags.id"], name=op.f("fk_dag_retention_dag_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("dag_id", name=op.f("pk_dag_retention")),
        )
        op.create_table(
            "removals",
            sa.Column("run_id", KEY, autoincrement=False, nullable=False),
            sa.Column("begun_at", INSTANT, nullable=False),
            sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_removals_run_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("run_id", name=op.f("pk_removals")),
        )


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        op.drop_table("removals")
        op.drop_table("dag_retention")
