<%
    from alembic.script import ScriptDirectory

    # The triggers stay those of the revision before, unless this one brings others in migrations/triggers.
    triggers = ScriptDirectory.from_config(config).get_revision(down_revision).module.TRIGGERS
%>\
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

# The revisions whose triggers hold from here on. One with a folder of its own in migrations/triggers adds its number
# here, and names those of before in downgrade.
TRIGGERS = ${repr(triggers)}


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        ${downgrades if downgrades else "pass"}
