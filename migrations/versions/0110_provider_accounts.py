"""Accounts at a provider, and disabled users.

Revision ID: 0110
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0110"
down_revision: str | None = "0109"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103")
# The column type of this revision, copied from the models, so that later changes of the models do not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("users", sa.Column("issuer", sa.Text(), nullable=True))
        op.add_column("users", sa.Column("subject", sa.Text(), nullable=True))
        op.add_column("users", sa.Column("disabled_at", INSTANT, nullable=True))
        op.create_index("uq_users_issuer_subject", "users", ["issuer", "subject"], unique=True)


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_index("uq_users_issuer_subject", table_name="users")
        op.drop_column("users", "disabled_at")
        op.drop_column("users", "subject")
        op.drop_column("users", "issuer")
