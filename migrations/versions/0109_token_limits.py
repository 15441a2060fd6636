"""Scopes and addresses of personal tokens.

Revision ID: 0109
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0109"
down_revision: str | None = "0108"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("tokens", sa.Column("scopes", sa.Text(), nullable=True))
        op.add_column("tokens", sa.Column("addresses", sa.Text(), nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_column("tokens", "addresses")
        op.drop_column("tokens", "scopes")
