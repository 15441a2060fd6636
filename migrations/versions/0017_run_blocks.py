"""Long stretches of a DAG's history are kept as lists show them.

Revision ID: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0017"
down_revision: str | None = "0016"
branch_labels: str | None = None
depends_on: str | None = None

INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    with revise(op.get_bind(), triggers=("0009", "0017")):
        op.create_table(
            "run_blocks",
            sa.Column("dag_name", sa.Text(), nullable=False),
            sa.Column("newest", INSTANT, nullable=False),
            sa.Column("oldest", INSTANT, nullable=False),
            sa.Column("runs", sa.Integer(), nullable=False),
            sa.Column("form", sa.Text(), nullable=False),
            sa.Column("places", sa.LargeBinary(), nullable=False),
            sa.Column("items", sa.LargeBinary(), nullable=True),
            sa.CheckConstraint("oldest <= newest", name=op.f("ck_run_blocks_oldest_before_newest")),
            sa.CheckConstraint("form <> '' OR items IS NULL", name=op.f("ck_run_blocks_stale_without_items")),
            sa.PrimaryKeyConstraint("dag_name", "newest", name=op.f("pk_run_blocks")),
        )
        stale = sa.text("form = ''")
        op.create_index(
            "ix_run_blocks_stale", "run_blocks", ["dag_name", "newest"], sqlite_where=stale, postgresql_where=stale
        )
        if op.get_bind().dialect.name == "postgresql":
            # They are packed already.
            op.execute(
                "ALTER TABLE run_blocks ALTER COLUMN items SET STORAGE EXTERNAL,"
                " ALTER COLUMN places SET STORAGE EXTERNAL"
            )


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        op.drop_table("run_blocks")
