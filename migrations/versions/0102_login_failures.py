"""Failed logins counted in the database, and the addresses that users have logged in from.

Revision ID: 0102
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0102"
down_revision: str | None = "0101"
branch_labels: str | None = None
depends_on: str | None = None

INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
TRIGGERS = "0100"


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.create_table(
            "login_addresses",
            sa.Column("user_id", sa.Text(), nullable=False),
            sa.Column("network", sa.Text(), nullable=False),
            sa.Column("last_login_at", INSTANT, nullable=False),
            sa.CheckConstraint("length(network) BETWEEN 1 AND 64", name=op.f("ck_login_addresses_network_length")),
            sa.ForeignKeyConstraint(
                ["user_id"], ["users.id"], name=op.f("fk_login_addresses_user_id"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("user_id", "network", name=op.f("pk_login_addresses")),
        )
        op.create_index(op.f("ix_login_addresses_network"), "login_addresses", ["network"])
        op.create_table(
            "login_failures",
            sa.Column("key", sa.Text(), nullable=False),
            sa.Column("count", sa.Integer(), nullable=False),
            sa.Column("last_at", INSTANT, nullable=False),
            sa.Column("expires_at", INSTANT, nullable=False),
            sa.CheckConstraint("count >= 0", name=op.f("ck_login_failures_count_positive")),
            sa.CheckConstraint("length(key) = 64", name=op.f("ck_login_failures_key_length")),
            sa.PrimaryKeyConstraint("key", name=op.f("pk_login_failures")),
        )
        op.create_index(op.f("ix_login_failures_expires_at"), "login_failures", ["expires_at"])


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_table("login_failures")
        op.drop_table("login_addresses")
