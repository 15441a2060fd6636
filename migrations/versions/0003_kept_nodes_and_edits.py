"""Nodes that a retry keeps name the attempt whose log they show; nodes that never began can be edited by hand.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

_FINISHED = "ck_nodes_finished_only_when_settled"
_STRICT = "finished_at IS NULL OR status NOT IN (0, 1)"


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.add_column("nodes", sa.Column("log_attempt", sa.Integer(), nullable=True))
        _let_nodes_be_finished_when(f"{_STRICT} OR (status = 0 AND edited_at IS NOT NULL)")


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0001"):
        op.execute("UPDATE nodes SET finished_at = NULL WHERE status = 0")
        _let_nodes_be_finished_when(_STRICT)
        op.drop_column("nodes", "log_attempt")


def _let_nodes_be_finished_when(condition: str) -> None:
    with op.batch_alter_table("nodes") as table:
        table.drop_constraint(op.f(_FINISHED), type_="check")
        table.create_check_constraint(op.f(_FINISHED), condition)
