"""Sub-runs of a node, secrets kept for recovery, and requests to end a run at once.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

_KIND = "ck_run_requests_kind_known"


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0001"):
        op.add_column("nodes", sa.Column("sub_runs", sa.Text(), nullable=True))
        op.add_column("nodes", sa.Column("output_sealed", sa.LargeBinary(), nullable=True))
        op.add_column("run_inputs", sa.Column("sealed", sa.LargeBinary(), nullable=True))
        op.add_column("run_inputs", sa.Column("source_directory", sa.Text(), nullable=True))
        _allow_kinds("kind IN ('stop', 'kill')")


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0001", loses_rows=["run_requests"]):
        op.execute("DELETE FROM run_requests WHERE kind = 'kill'")
        _allow_kinds("kind IN ('stop')")
        op.drop_column("run_inputs", "source_directory")
        op.drop_column("run_inputs", "sealed")
        op.drop_column("nodes", "output_sealed")
        op.drop_column("nodes", "sub_runs")


def _allow_kinds(condition: str) -> None:
    with op.batch_alter_table("run_requests") as table:
        table.drop_constraint(op.f(_KIND), type_="check")
        table.create_check_constraint(op.f(_KIND), condition)
