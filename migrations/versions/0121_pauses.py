"""The pause of everything; reasons and ends of paused queues and of suspended DAGs.

Revision ID: 0121
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration
from dagbook.db.migrations.report_views import create_views

revision = "0121"
down_revision: str | None = "0120"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112", "0119", "0120")
# Column type of this revision, copied from the models, so that later changes of the models do not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
COLUMNS: dict[str, dict[str, sa.types.TypeEngine[Any]]] = {
    "queue_pauses": {"reason": sa.Text(), "until": INSTANT},
    "dags": {"suspend_reason": sa.Text(), "suspended_until": INSTANT, "suspended_by": sa.Text()},
}
# Slots of a pause that are made up for at its end: few, and none without a pause.
IS_PENDING = sa.text("outcome = 'suspended' AND made_up")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.create_table(
            "pauses",
            sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("paused_at", INSTANT, nullable=False),
            sa.Column("paused_by", sa.Text(), nullable=True),
            sa.Column("reason", sa.Text(), nullable=False),
            sa.Column("until", INSTANT, nullable=True),
            sa.CheckConstraint("id = 1", name=op.f("ck_pauses_only_one")),
            sa.CheckConstraint("length(reason) >= 3", name=op.f("ck_pauses_reason_length")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
        )
        for table, columns in COLUMNS.items():
            for name, kind in columns.items():
                op.add_column(table, sa.Column(name, kind, nullable=True))
        op.create_index(
            "ix_schedule_slots_pending",
            "schedule_slots",
            ["minute"],
            sqlite_where=IS_PENDING,
            postgresql_where=IS_PENDING,
        )
        create_views(op.get_bind(), revision)


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        create_views(op.get_bind(), "0114")
        op.drop_index("ix_schedule_slots_pending", "schedule_slots")
        for table, columns in COLUMNS.items():
            for name in columns:
                op.drop_column(table, name)
        op.drop_table("pauses")
