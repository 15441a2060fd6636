"""Times of schedules, each of which is seen to once, and what is set for a DAG beside its definition.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0011"
down_revision: str | None = "0010"
branch_labels: str | None = None
depends_on: str | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_OUTCOMES = (
    "outcome IN ('started', 'queued', 'stopped', 'restarting', 'restarted', 'skipped', 'suspended', 'missed', 'failed')"
)
_RUN_ONLY_WHEN_BEGUN = "run_id IS NULL OR outcome IN ('started', 'queued', 'restarted')"
_IS_RESTARTING = sa.text("outcome = 'restarting'")


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        _create_slots()
        op.create_table(
            "schedule_marks",
            sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("minute", INSTANT, nullable=False),
            sa.CheckConstraint("id = 1", name=op.f("ck_schedule_marks_only_one")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_marks")),
        )
        op.create_table(
            "dag_settings",
            sa.Column("dag_id", KEY, autoincrement=False, nullable=False),
            sa.Column("catchup", sa.Text(), nullable=False),
            sa.Column("catchup_window_seconds", sa.Integer(), nullable=False),
            sa.Column("updated_at", INSTANT, nullable=False),
            sa.Column("updated_by", sa.Text(), nullable=True),
            sa.CheckConstraint("catchup IN ('none', 'latest', 'all')", name=op.f("ck_dag_settings_catchup_known")),
            sa.CheckConstraint("catchup_window_seconds > 0", name=op.f("ck_dag_settings_window_above_zero")),
            sa.ForeignKeyConstraint(["dag_id"], ["dags.id"], name=op.f("fk_dag_settings_dag_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("dag_id", name=op.f("pk_dag_settings")),
        )


def _create_slots() -> None:
    op.create_table(
        "schedule_slots",
        sa.Column("dag_id", KEY, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("minute", INSTANT, nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("run_id", KEY, nullable=True),
        sa.Column("restarts", KEY, nullable=True),
        sa.Column("made_up", sa.Boolean(), nullable=False),
        sa.Column("settled_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('start', 'stop', 'restart')", name=op.f("ck_schedule_slots_kind_known")),
        sa.CheckConstraint(_OUTCOMES, name=op.f("ck_schedule_slots_outcome_known")),
        sa.CheckConstraint(_RUN_ONLY_WHEN_BEGUN, name=op.f("ck_schedule_slots_run_only_when_begun")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_schedule_slots_run_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("dag_id", "kind", "minute", name=op.f("pk_schedule_slots")),
        sa.UniqueConstraint("run_id", name=op.f("uq_schedule_slots_run_id")),
    )
    op.create_index("ix_schedule_slots_minute", "schedule_slots", ["minute"])
    op.create_index(
        "ix_schedule_slots_restarting",
        "schedule_slots",
        ["minute"],
        sqlite_where=_IS_RESTARTING,
        postgresql_where=_IS_RESTARTING,
    )
    op.create_index("ix_schedule_slots_file_name", "schedule_slots", ["file_name", "minute"])


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        for name in ("dag_settings", "schedule_marks", "schedule_slots"):
            op.drop_table(name)
