"""Batches and their items.

Revision ID: 0124
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from dagbook.db.migrations.migration_support import migration

revision = "0124"
down_revision: str | None = "0123"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112", "0119", "0120")
# Column types and words of this revision, copied from the models, so that later changes of the models do not change it.
COLUMN_TYPES: dict[str, TypeEngine[Any]] = {
    "key": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
    "text": sa.Text(),
    "int": sa.Integer(),
    "time": sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite"),
}
ACTIONS = "'start', 'retry', 'again', 'stop', 'dequeue', 'delete'"
STATES = "'planned', 'begun', 'done', 'failed', 'left_out'"


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        _create_batches()
        _create_items()


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        for table in ("batch_items", "batches"):
            op.drop_table(table)


def _create(
    table: str, columns: str, checks: dict[str, str], primary: str = "id", *more: sa.ForeignKeyConstraint
) -> None:
    """Create a table; each column is ``name:type``, with ``?`` if it may be NULL."""
    op.create_table(
        table,
        *(_column(*column.split(":")) for column in columns.split()),
        *more,
        *(sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}")) for name, condition in checks.items()),
        sa.PrimaryKeyConstraint(*primary.split(), name=op.f(f"pk_{table}")),
        sqlite_autoincrement=table == "batches",
    )


def _column(name: str, kind: str) -> sa.Column[Any]:
    return sa.Column(name, COLUMN_TYPES[kind.rstrip("?")], nullable=kind.endswith("?"))


def _reference(column: str, to: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_batch_items_{column}"), ondelete=ondelete)


def _index(name: str, table: str, columns: str, where: str | None = None, *, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns.split(), unique=unique, sqlite_where=condition, postgresql_where=condition)


def _create_batches() -> None:
    _create(
        "batches",
        "id:key action:text dag_id:key? filter:text params:text revision:text parallel:int item_order:text "
        "on_failure:text reason:text? actor:text created_at:time created_by:text? created_by_id:text? paused_at:time? "
        "paused_by:text? paused_why:text? cancelled_at:time? cancelled_by:text? ended_at:time?",
        {
            "action_known": f"action IN ({ACTIONS})",
            "parallel_known": "parallel BETWEEN 1 AND 100",
            "order_known": "item_order IN ('oldest', 'newest')",
            "on_failure_known": "on_failure IN ('continue', 'stop')",
            "paused_at_a_time": "paused_at IS NOT NULL OR paused_by IS NULL AND paused_why IS NULL",
            "cancelled_at_a_time": "cancelled_at IS NOT NULL OR cancelled_by IS NULL",
        },
    )
    _index("ix_batches_open", "batches", "id", "ended_at IS NULL")


def _create_items() -> None:
    table = "batch_items"
    _create(
        table,
        "batch_id:key place:int dag_id:key? minute:time? zone:text? source_run:key? run_id:key? attempt:int? "
        "state:text why:text?",
        {
            "state_known": f"state IN ({STATES})",
            "place_from_one": "place >= 1",
            "zone_of_minute": "(minute IS NULL) = (zone IS NULL)",
        },
        "batch_id place",
        _reference("batch_id", "batches", "CASCADE"),
        _reference("source_run", "runs", "SET NULL"),
        _reference("run_id", "runs", "SET NULL"),
    )
    _index("uq_batch_items_minute", table, "batch_id dag_id minute", unique=True)
    _index("uq_batch_items_source", table, "batch_id source_run", unique=True)
    held = "minute IS NOT NULL AND state IN ('planned', 'begun')"
    _index("uq_batch_items_held", table, "dag_id minute", held, unique=True)
    _index("ix_batch_items_planned", table, "batch_id place", "state = 'planned'")
    _index("ix_batch_items_begun", table, "batch_id place", "state = 'begun'")
    _index("ix_batch_items_source_run", table, "source_run", "source_run IS NOT NULL")
    _index("ix_batch_items_run_id", table, "run_id")
