"""Seals say in their signed head what was pruned.

Seals of earlier versions have NULL, by which they are verified as they were made; every later one has a number.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0103"
down_revision: str | None = "0102"
branch_labels: str | None = None
depends_on: str | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=("0100", "0103")):
        op.add_column("audit_seals", sa.Column("pruned_up_to", KEY, nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers="0100"):
        op.drop_column("audit_seals", "pruned_up_to")
