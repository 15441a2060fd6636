"""Long texts of logs are stored packed.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.db.packing import unpack
from app.db.revision import revise

revision = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

_AT_ONCE = 16
_chunks = sa.table(
    "log_chunks",
    *(sa.column(name) for name in ("run_id", "attempt", "position", "stream", "seq", "text", "packed")),
)
_keys = (_chunks.c.run_id, _chunks.c.attempt, _chunks.c.position, _chunks.c.stream, _chunks.c.seq)


def upgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        op.add_column("log_chunks", sa.Column("packed", sa.LargeBinary(), nullable=True))
        if op.get_bind().dialect.name == "postgresql":  # packed as it is, nothing is won by another try
            op.execute("ALTER TABLE log_chunks ALTER COLUMN packed SET STORAGE EXTERNAL")


def downgrade() -> None:
    with revise(op.get_bind(), triggers="0003"):
        while _unpack_some(op.get_bind()):
            pass
        op.drop_column("log_chunks", "packed")


def _unpack_some(connection: sa.Connection) -> bool:
    rows = connection.execute(
        sa.select(*_keys, _chunks.c.packed).where(_chunks.c.packed.is_not(None)).limit(_AT_ONCE)
    ).all()
    for row in rows:
        connection.execute(
            sa.update(_chunks)
            .where(*(column == getattr(row, column.name) for column in _keys))
            .values(text=unpack("", row.packed), packed=None)
        )
    return bool(rows)
