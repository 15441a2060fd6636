"""Views for reports, and on SQLite the indexes by their times.

Revision ID: 0114
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration
from dagbook.db.migrations.report_views import create_views

revision = "0114"
down_revision: str | None = "0113"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112")
VIEWS = [f"report_v1_{name}" for name in ("runs", "steps", "attempts", "queue", "slots", "dags", "audit")]
# Of the expression by which the views write a time: SQLite finds no rows by the column behind it.
_TIME = (
    "replace(datetime({0} / 1000000, 'unixepoch'), ' ', 'T') || '.' || substr('00000' || ({0} % 1000000), -6) || 'Z'"
)
_INDEXES = {"runs": "created_at", "schedule_slots": "minute", "audit": "at"}


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        if op.get_bind().dialect.name == "sqlite":
            for table, column in _INDEXES.items():
                op.create_index(f"ix_{table}_report", table, [sa.text(_TIME.format(column))])
        create_views(op.get_bind(), revision)


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS, drops_views=VIEWS):
        if op.get_bind().dialect.name == "sqlite":
            for table in _INDEXES:
                op.drop_index(f"ix_{table}_report", table)
