"""Runs that wait in queues, and indexes for what is active: the old one was never used, for no query had its condition.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_WAS_ACTIVE = sa.text("status IN (0, 1, 5)")
_IS_ACTIVE = sa.text("status IN (0, 1, 5) AND root_id IS NULL")
_IS_ROOT = sa.text("root_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "queue_entries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("queued_at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("priority IN (0, 1)", name=op.f("ck_queue_entries_priority_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_queue_entries_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_entries")),
        sa.UniqueConstraint("run_id", name=op.f("uq_queue_entries_run_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_queue_entries_queue", "queue_entries", ["queue", "priority", "id"])
    op.drop_index("ix_runs_active", "runs")
    _create_partial("ix_runs_active_name", ["dag_name", "status", "queue"], _IS_ACTIVE)
    _create_partial("ix_runs_active_queue", ["queue", "status"], _IS_ACTIVE)
    _create_partial("ix_runs_status", ["status", sa.text("created_at DESC"), "run_id"], _IS_ROOT)


def downgrade() -> None:
    for name in ("ix_runs_status", "ix_runs_active_queue", "ix_runs_active_name"):
        op.drop_index(name, "runs")
    _create_partial("ix_runs_active", ["status"], _WAS_ACTIVE)
    op.drop_table("queue_entries")


def _create_partial(name: str, columns: list[str | sa.TextClause], condition: sa.TextClause) -> None:
    op.create_index(name, "runs", columns, sqlite_where=condition, postgresql_where=condition)
