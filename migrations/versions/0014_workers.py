"""Workers: labels and room of those that drive runs and serve nobody; on PostgreSQL the tables of PgQueuer.

PgQueuer's tables are as version 1.6.0 makes them itself: what stands in ``migrations/pgqueuer`` is what it gave.

Revision ID: 0014
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

from app.db.revision import migrations_directory, revise

revision = "0014"
down_revision: str | None = "0013"
branch_labels: str | None = None
depends_on: str | None = None

_UNINSTALL = (
    "DROP TRIGGER tg_pgqueuer_changed ON pgqueuer",
    "DROP FUNCTION fn_pgqueuer_changed()",
    "DROP TABLE pgqueuer, pgqueuer_log, pgqueuer_schedules, pgqueuer_statistics",
    "DROP TYPE pgqueuer_status",
)


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0009"):
        op.add_column("services", sa.Column("name", sa.Text(), nullable=True))
        op.add_column("services", sa.Column("labels", sa.Text(), nullable=True))
        op.add_column("services", sa.Column("capacity", sa.Integer(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        install = (migrations_directory() / "pgqueuer" / "1.6.0.sql").read_text(encoding="utf-8")
        for statement in re.split(r"\n\n(?=CREATE )", install.strip())[1:]:
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in _UNINSTALL:
            op.get_bind().exec_driver_sql(statement)
    with revise(op.get_bind(), triggers="0009"):
        for column in ("capacity", "labels", "name"):
            op.drop_column("services", column)
