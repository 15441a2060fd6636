"""Groups of users, and grants of DAGs.

Revision ID: 0111
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0111"
down_revision: str | None = "0110"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103")
# The column type of this revision, copied from the models, so that later changes of the models do not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
SCOPE_KNOWN = "ck_users_scope_known CHECK (scope IN ('all', 'granted'))"
ONE_SUBJECT = (
    "(CASE WHEN user_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN group_id IS NULL THEN 0 ELSE 1 END)"
    " + (CASE WHEN token_id IS NULL THEN 0 ELSE 1 END) = 1"
)


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        # Alembic would copy the table on SQLite; both databases add a column with its constraint.
        op.execute(f"ALTER TABLE users ADD COLUMN scope TEXT DEFAULT 'all' NOT NULL CONSTRAINT {SCOPE_KNOWN}")
        _create_groups()
        _create_grants()


def _create_groups() -> None:
    op.create_table(
        "user_groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 64", name=op.f("ck_user_groups_name_length")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_user_groups_name")),
    )
    op.create_table(
        "user_group_members",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("by_claim", sa.Boolean(), nullable=False),
        _reference("user_group_members", "group_id", "user_groups"),
        _reference("user_group_members", "user_id", "users"),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_user_group_members")),
    )
    op.create_index("ix_user_group_members_user_id", "user_group_members", ["user_id"])


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("token_id", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=True),
        sa.Column("tag", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.CheckConstraint(ONE_SUBJECT, name=op.f("ck_grants_one_subject")),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'manager')", name=op.f("ck_grants_role_known")),
        sa.CheckConstraint("(pattern IS NULL) <> (tag IS NULL)", name=op.f("ck_grants_pattern_or_tag")),
        _reference("grants", "user_id", "users"),
        _reference("grants", "group_id", "user_groups"),
        _reference("grants", "token_id", "tokens"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint("subject", "pattern", name=op.f("uq_grants_subject_pattern")),
        sa.UniqueConstraint("subject", "tag", name=op.f("uq_grants_subject_tag")),
    )
    for name in ("user_id", "group_id", "token_id"):
        op.create_index(f"ix_grants_{name}", "grants", [name])
    op.create_table(
        "dag_access",
        sa.Column("dag_name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("rank BETWEEN 0 AND 2", name=op.f("ck_dag_access_rank_known")),
        sa.PrimaryKeyConstraint("dag_name", "subject", name=op.f("pk_dag_access")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dag_access_subject", "dag_access", ["subject", "dag_name"])


def _reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        for table in ("dag_access", "grants", "user_group_members", "user_groups"):
            op.drop_table(table)
        op.drop_column("users", "scope")
