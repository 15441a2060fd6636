"""People and their personal API tokens.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.revision import revise

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_ROLES = "role IN ('viewer', 'operator', 'manager', 'admin')"


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        _create_users()
        _create_tokens()


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.drop_table("tokens")
        op.drop_table("users")


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kept_token", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("length(username) BETWEEN 1 AND 64", name=op.f("ck_users_username_length")),
        sa.CheckConstraint(_ROLES, name=op.f("ck_users_role_known")),
        sa.CheckConstraint("generation > 0", name=op.f("ck_users_generation_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name=op.f("ck_tokens_name_length")),
        sa.CheckConstraint(_ROLES, name=op.f("ck_tokens_role_known")),
        sa.CheckConstraint("length(hash) = 64", name=op.f("ck_tokens_hash_length")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_tokens_expires_later")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    live = sa.text("revoked_at IS NULL")
    op.create_index(
        "uq_tokens_live_name", "tokens", ["user_id", "name"], unique=True, sqlite_where=live, postgresql_where=live
    )
