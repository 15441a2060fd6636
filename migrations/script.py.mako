"""${message}

Revision ID: ${up_revision}
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
from dagbook.db.migrations.migration_support import migration

revision = ${repr(up_revision)}
down_revision: str | None = ${repr(down_revision)}
branch_labels: str | None = ${repr(branch_labels)}
depends_on: str | None = ${repr(depends_on)}


def upgrade() -> None:
    with migration(op.get_bind(), triggers=${repr(up_revision)}):
        ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    with migration(op.get_bind(), triggers=${repr(down_revision)}):
        ${downgrades if downgrades else "pass"}
