"""A later version of Dagbook: the migrations of this one and another, which changes the guards of the hot tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dagbook.db.migrations import migration_support, upgrade
from dagbook.db.migrations.upgrade import head
from tests.conftest import ROOT

LATER = "9999"
TRIGGERS = ("0100", "0103", "0112", "0119", "0120")  # those of the newest revision
_MIGRATION = '''"""Make the guards anew, as a revision does that changes one of them."""

from alembic import op
import sqlalchemy as sa
from dagbook.db.migrations.migration_support import migration

revision, down_revision, branch_labels, depends_on = "{later}", "{head}", None, None
breaking = {breaking}
TRIGGERS = {triggers}


def upgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.add_column("runs", sa.Column("later", sa.Text(), nullable=True))


def downgrade() -> None:
    with migration(op.get_bind(), triggers=TRIGGERS):
        op.drop_column("runs", "later")
'''


def write_later_migrations(folder: Path, *, breaking: bool = False) -> Path:
    """Write the migrations of the later version below a folder; returns their own."""
    migrations = copy_migrations(folder)
    text = _MIGRATION.format(later=LATER, head=head(), breaking=breaking, triggers=TRIGGERS)
    (migrations / "versions" / f"{LATER}_later.py").write_text(text)
    return migrations


def copy_migrations(folder: Path) -> Path:
    """Copy the migrations of this version below a folder; returns their own."""
    migrations = folder / "migrations"
    shutil.copytree(ROOT / "migrations", migrations, ignore=shutil.ignore_patterns("__pycache__"))
    return migrations


def install_later(monkeypatch: pytest.MonkeyPatch, folder: Path, *, breaking: bool = False) -> None:
    """Let ``upgrade`` in this process, and in no other one, be that of the later version."""
    install(monkeypatch, write_later_migrations(folder, breaking=breaking))


def install(monkeypatch: pytest.MonkeyPatch, migrations: Path) -> None:
    """Let this process, and no other one, use the migrations of a folder."""
    for module in (migration_support, upgrade):
        monkeypatch.setattr(module, "migrations_directory", lambda: migrations)
