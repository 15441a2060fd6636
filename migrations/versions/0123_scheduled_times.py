"""The minute of a schedule that a run is for.

Revision ID: 0123
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from dagbook.db.migrations.migration_support import migration

revision = "0123"
down_revision: str | None = "0122"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112", "0119", "0120")
# Column types of this revision, copied from the models, so that later changes of the models do not change it.
COLUMN_TYPES: dict[str, TypeEngine[Any]] = {
    "time": sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite"),
}


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("runs", sa.Column("scheduled_at", COLUMN_TYPES["time"], nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_column("runs", "scheduled_at")
