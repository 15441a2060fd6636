"""Approvals, the wait handler, and the JSON text that params were given as.

Revision ID: 0112
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0112"
down_revision: str | None = "0111"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112")
_TRIGGERS_BEFORE = ("0100", "0103")
# Column types of this revision, copied from the models, so that later changes of the models do not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("run_inputs", sa.Column("params_json", sa.Text(), nullable=True))
        op.add_column("nodes", sa.Column("approval", sa.Text(), nullable=True))
        _limit_positions(-6)
        op.create_table(
            "approvals",
            sa.Column("run_id", KEY, nullable=False),
            sa.Column("attempt", sa.Integer(), nullable=False),
            sa.Column("position", sa.Integer(), nullable=False),
            sa.Column("asked_at", INSTANT, nullable=False),
            sa.Column("request", sa.Text(), nullable=False),
            sa.Column("decided_at", INSTANT, nullable=True),
            sa.Column("decided_by", sa.Text(), nullable=True),
            sa.Column("decision", sa.Text(), nullable=True),
            sa.PrimaryKeyConstraint("run_id", "attempt", "position", name="pk_approvals"),
            sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_approvals_run_id", ondelete="CASCADE"),
            sa.CheckConstraint(
                "(decided_at IS NULL) = (decision IS NULL)", name=op.f("ck_approvals_decided_with_a_decision")
            ),
        )
        undecided = sa.text("decided_at IS NULL")
        op.create_index(
            "ix_approvals_open", "approvals", ["asked_at"], sqlite_where=undecided, postgresql_where=undecided
        )


def _limit_positions(least: int) -> None:
    """Change the least position of a handler in the constraint of the table of nodes."""
    connection, check = op.get_bind(), "position >= {} AND handler = (position < 0)"
    if connection.dialect.name == "postgresql":
        name = "ck_nodes_handlers_below_zero"
        op.execute(f"ALTER TABLE nodes DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK ({check.format(least)})")
        return
    # SQLite's documentation names this way for a change that concerns no stored row; a copy of the table, which may be
    # the largest one, would take minutes.
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'nodes' AND instr(sql, ?)",
        (check.format(-11 - least), check.format(least), check.format(-11 - least)),
    )
    if changed.rowcount != 1:
        raise RuntimeError("the table of nodes has not the constraint that this migration changes")
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")


def downgrade() -> None:
    with migration(op.get_bind(), triggers=_TRIGGERS_BEFORE, loses_rows=("nodes", "log_chunks")):
        op.drop_table("approvals")
        op.execute("DELETE FROM nodes WHERE position = -6")
        _limit_positions(-5)
        op.drop_column("nodes", "approval")
        op.drop_column("run_inputs", "params_json")
