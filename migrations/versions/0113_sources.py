"""Sources of definitions: directories and Git repositories, their files, and the commits of revisions.

Revision ID: 0113
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0113"
down_revision: str | None = "0112"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103", "0112")
# Column types of this revision, copied from the models, so that later changes of the models do not change them.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LIST = sa.Text()


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("dag_revisions", sa.Column("source_commit", sa.Text(), nullable=True))
        op.create_table(
            "sources",
            sa.Column("id", BIG_KEY, nullable=False),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("kind", sa.Text(), nullable=False),
            sa.Column("place", sa.Text(), nullable=False),
            sa.Column("branch", sa.Text(), nullable=True),
            sa.Column("path", sa.Text(), nullable=False),
            sa.Column("writable", sa.Boolean(), nullable=False),
            sa.Column("adopt", sa.Boolean(), nullable=False),
            sa.Column("credentials", sa.Text(), nullable=True),
            sa.Column("hook_secret", sa.LargeBinary(), nullable=True),
            sa.Column("configured", sa.Boolean(), nullable=False),
            sa.Column("created_at", INSTANT, nullable=False),
            sa.Column("created_by", sa.Text(), nullable=True),
            sa.Column("synced_at", INSTANT, nullable=True),
            sa.Column("source_commit", sa.Text(), nullable=True),
            sa.Column("problem", sa.Text(), nullable=True),
            sa.Column("problem_at", INSTANT, nullable=True),
            sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name=op.f("ck_sources_name_length")),
            sa.CheckConstraint("kind IN ('directory', 'git')", name=op.f("ck_sources_kind_known")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
            sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
            sqlite_autoincrement=True,
        )
        op.create_table(
            "source_files",
            sa.Column("source_id", BIG_KEY, nullable=False),
            sa.Column("path", sa.Text(), nullable=False),
            sa.Column("dag_id", BIG_KEY, nullable=True),
            sa.Column("content", sa.Text(), nullable=False),
            sa.Column("definition_hash", sa.Text(), nullable=True),
            sa.Column("source_commit", sa.Text(), nullable=True),
            sa.Column("problems", LIST, nullable=True),
            sa.Column("changed_at", INSTANT, nullable=False),
            sa.Column("removed_at", INSTANT, nullable=True),
            sa.Column("resumes", sa.Boolean(), nullable=False),
            sa.ForeignKeyConstraint(
                ["source_id"], ["sources.id"], name=op.f("fk_source_files_source_id"), ondelete="CASCADE"
            ),
            sa.ForeignKeyConstraint(["dag_id"], ["dags.id"], name=op.f("fk_source_files_dag_id"), ondelete="SET NULL"),
            sa.PrimaryKeyConstraint("source_id", "path", name=op.f("pk_source_files")),
            sa.UniqueConstraint("dag_id", name=op.f("uq_source_files_dag_id")),
        )


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_table("source_files")
        op.drop_table("sources")
        op.drop_column("dag_revisions", "source_commit")
