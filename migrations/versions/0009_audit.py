"""Who did what, chained by seals so that no change of it goes unnoticed.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_OUTCOMES = "outcome IN ('done', 'refused', 'failed')"


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        _create_entries()
        _create_seals()


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.drop_table("audit_seals")
        op.drop_table("audit")


def _create_entries() -> None:
    op.create_table(
        "audit",
        sa.Column("id", KEY, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("token_id", sa.Text(), nullable=True),
        sa.Column("token_name", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.CheckConstraint(_OUTCOMES, name=op.f("ck_audit_outcome_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    for column in ("actor", "action", "name", "request_id"):
        op.create_index(f"ix_audit_{column}", "audit", [column, "at"])
    op.create_index("ix_audit_at", "audit", ["at"])


def _create_seals() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("number", KEY, autoincrement=False, nullable=False),
        sa.Column("first_id", KEY, nullable=False),
        sa.Column("last_id", KEY, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", INSTANT, nullable=False),
        sa.Column("pruned_at", INSTANT, nullable=True),
        sa.Column("marks", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_audit_seals_number_counts_from_one")),
        sa.CheckConstraint("first_id <= last_id", name=op.f("ck_audit_seals_range_in_order")),
        sa.CheckConstraint("entries >= 1", name=op.f("ck_audit_seals_entries_not_empty")),
        sa.CheckConstraint("length(digest) = 64 AND length(hash) = 64", name=op.f("ck_audit_seals_hash_length")),
        sa.CheckConstraint("(marks IS NULL) = (pruned_at IS NOT NULL)", name=op.f("ck_audit_seals_marks_until_pruned")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seals")),
        sa.UniqueConstraint("last_id", name=op.f("uq_audit_seals_last_id")),
    )
