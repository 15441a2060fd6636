"""Keys of SSH hosts, stored at the first connection.

Revision ID: 0106
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dagbook.db.migrations.migration_support import migration

revision = "0106"
down_revision: str | None = "0105"
branch_labels: str | None = None
depends_on: str | None = None

TRIGGERS = ("0100", "0103")
# The column type of this revision, copied from the models, so that later changes of the models do not change it.
INSTANT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.create_table(
            "ssh_host_keys",
            sa.Column("host", sa.Text(), nullable=False),
            sa.Column("port", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("algorithm", sa.Text(), nullable=False),
            sa.Column("fingerprint", sa.Text(), nullable=False),
            sa.Column("stored_at", INSTANT, nullable=False),
            sa.Column("accepted_by", sa.Text(), nullable=True),
            sa.CheckConstraint("length(host) BETWEEN 1 AND 253", name=op.f("ck_ssh_host_keys_host_length")),
            sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_ssh_host_keys_port_known")),
            sa.CheckConstraint("length(algorithm) BETWEEN 1 AND 64", name=op.f("ck_ssh_host_keys_algorithm_length")),
            sa.CheckConstraint(
                "length(fingerprint) BETWEEN 1 AND 64", name=op.f("ck_ssh_host_keys_fingerprint_length")
            ),
            sa.PrimaryKeyConstraint("host", "port", name=op.f("pk_ssh_host_keys")),
        )


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_table("ssh_host_keys")
