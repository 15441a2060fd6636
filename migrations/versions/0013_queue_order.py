"""Entries of queues have any priority and may be moved to the front, say which workers they need; queues can be paused.

Until now priority 0 went before 1, and nothing used 0; now higher ones go first.

Revision ID: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0013"
down_revision: str | None = "0012"
branch_labels: str | None = None
depends_on: str | None = None

INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_INDEX, _KNOWN = "ix_queue_entries_queue", "ck_queue_entries_priority_known"
_KEPT = {"sqlite_autoincrement": True}


def upgrade() -> None:
    op.drop_index(_INDEX, "queue_entries")  # before what must keep its definition is looked at
    with revise(op.get_bind(), triggers="0009"):
        with op.batch_alter_table("queue_entries", table_kwargs=_KEPT) as table:
            table.drop_constraint(op.f(_KNOWN), type_="check")
            table.create_check_constraint(op.f(_KNOWN), "priority BETWEEN -1000 AND 1000")
            table.add_column(sa.Column("place", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
            table.add_column(sa.Column("selector", sa.Text(), nullable=True))
        op.execute("UPDATE queue_entries SET priority = 1 - priority")
        op.create_index(_INDEX, "queue_entries", ["queue", sa.text("priority DESC"), "place", "id"])
        op.create_table(
            "queue_pauses",
            sa.Column("queue", sa.Text(), nullable=False),
            sa.Column("paused_at", INSTANT, nullable=False),
            sa.Column("paused_by", sa.Text(), nullable=True),
            sa.PrimaryKeyConstraint("queue", name=op.f("pk_queue_pauses")),
        )


def downgrade() -> None:
    op.drop_index(_INDEX, "queue_entries")
    with revise(op.get_bind(), triggers="0009"):
        op.drop_table("queue_pauses")
        op.execute("UPDATE queue_entries SET priority = CASE WHEN priority > 0 THEN 0 ELSE 1 END")
        with op.batch_alter_table("queue_entries", table_kwargs=_KEPT) as table:
            table.drop_constraint(op.f(_KNOWN), type_="check")
            table.create_check_constraint(op.f(_KNOWN), "priority IN (0, 1)")
            table.drop_column("place")
            table.drop_column("selector")
        op.create_index(_INDEX, "queue_entries", ["queue", "priority", "id"])
