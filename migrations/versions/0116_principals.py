"""Whose rights count for the calls of runs: the users of attempts, and the authors of revisions.

Authors were names until now. One becomes the user of this name who existed when the revision was saved. The name of a
user who was deleted since becomes the empty id, which no user has: such an author has no rights. All other names are
not of users (commands on this machine, imports, sources, credentials of the settings), and get no id: no limit.

Revision ID: 0116
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0116"
down_revision: str | None = "0115"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112")
# A personal token is named behind its user: "ann (token ci)".
_SET_USERS = """
UPDATE dag_revisions SET author_id = (
  SELECT CASE WHEN count(*) = 1 THEN min(users.id) END FROM users
  WHERE users.created_at <= saved_at
    AND (author = username OR substr(author, 1, length(username) + 8) = username || ' (token '))
WHERE source_commit IS NULL AND dag_id NOT IN (SELECT dag_id FROM source_files WHERE dag_id IS NOT NULL)
"""
_SET_DELETED = """
UPDATE dag_revisions SET author_id = ''
WHERE author_id IS NULL
  AND source_commit IS NULL AND dag_id NOT IN (SELECT dag_id FROM source_files WHERE dag_id IS NOT NULL)
  AND EXISTS (
    SELECT 1 FROM audit
    WHERE audit.action = 'user.delete' AND audit.outcome = 'done' AND audit.at >= saved_at
      AND (author = audit.name OR substr(author, 1, length(audit.name) + 8) = audit.name || ' (token '))
"""


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        for column in ("author_id", "author_token_id"):
            op.add_column("dag_revisions", sa.Column(column, sa.Text(), nullable=True))
        for column in ("principal_id", "principal_token_id"):
            op.add_column("run_attempts", sa.Column(column, sa.Text(), nullable=True))
        op.execute(_SET_USERS)
        op.execute(_SET_DELETED)


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        for column in ("principal_id", "principal_token_id"):
            op.drop_column("run_attempts", column)
        for column in ("author_id", "author_token_id"):
            op.drop_column("dag_revisions", column)
