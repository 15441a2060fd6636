"""Storage used by the tables, the database's own integrity checks, and vacuuming."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy import func, select, text

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.sqlite.upgrade_copies import UpgradeCopy, find_copies
from dagbook.db.types import Base

_MAX_COMPLAINTS = 20
_INCREMENTAL = 2  # of the pragma auto_vacuum
_SQLITE_BYTES = text(
    "SELECT m.tbl_name, SUM(d.pgsize) FROM dbstat AS d JOIN sqlite_schema AS m ON m.name = d.name GROUP BY m.tbl_name"
)
_POSTGRES_BYTES = text(
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
)
_SQLITE_FREE = text("SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")
_SQLITE_ALL = text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
_SQLITE_FILE = text("SELECT file FROM pragma_database_list WHERE name = 'main'")
_POSTGRES_ALL = text("SELECT pg_database_size(current_database())")
_REVISION = text("SELECT version_num FROM alembic_version")
# A PostgreSQL cluster with checksums verifies pages when it reads them, and counts damaged ones.
_POSTGRES_COMPLAINTS = text(
    "SELECT 'pages with a wrong checksum were read: ' || checksum_failures FROM pg_stat_database "
    "WHERE datname = current_database() AND checksum_failures > 0 "
    "UNION ALL SELECT 'index ' || indexrelid::regclass || ' is invalid' FROM pg_index "
    "JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE relnamespace = current_schema()::regnamespace AND NOT (indisvalid AND indisready) "
    "UNION ALL SELECT 'constraint ' || conname || ' was never validated on existing rows' FROM pg_constraint "
    "WHERE connamespace = current_schema()::regnamespace AND NOT convalidated"
)


class TableUse(msgspec.Struct, frozen=True):
    """A table: its number of rows, and its size in bytes including indexes."""

    name: str
    rows: int
    size: int


class Storage(msgspec.Struct, frozen=True):
    """Bytes of the database, its free bytes for new rows (None when not known), and its tables.

    ``copies`` are those that upgrades have left beside a SQLite file.
    """

    size: int
    free: int | None
    tables: Sequence[TableUse]
    copies: Sequence[UpgradeCopy] = ()


class DatabaseFacts(msgspec.Struct, frozen=True):
    """A database without its tables: its bytes, free ones included, and the revision of its schema."""

    size: int
    revision: str


def read_facts(connection: ReadConnection) -> DatabaseFacts:
    sqlite = connection.dialect.name == "sqlite"
    size = connection.scalar(_SQLITE_ALL if sqlite else _POSTGRES_ALL)
    return DatabaseFacts(int(size or 0), str(connection.scalar(_REVISION)))


def measure(connection: ReadConnection) -> Storage:
    """Count rows and bytes of every table, the largest first; reads the whole file on SQLite."""
    sqlite = connection.dialect.name == "sqlite"
    sizes = {name: int(size) for name, size in connection.execute(_SQLITE_BYTES if sqlite else _POSTGRES_BYTES)}
    tables = [
        TableUse(
            str(table.name), connection.scalar(select(func.count()).select_from(table)) or 0, sizes.get(table.name, 0)
        )
        for table in Base.metadata.sorted_tables
    ]
    path = connection.execute(_SQLITE_FILE).scalar_one() if sqlite else ""
    return Storage(
        size=int(connection.scalar(_SQLITE_ALL if sqlite else _POSTGRES_ALL) or 0),
        free=int(connection.scalar(_SQLITE_FREE) or 0) if sqlite else None,
        tables=sorted(tables, key=lambda use: (-use.size, use.name)),
        copies=find_copies(Path(path)) if path else (),
    )


def find_damage(connection: ReadConnection, *, quick: bool) -> list[str]:
    """Run the database's own integrity check; an empty list means no damage.

    ``quick`` skips, on SQLite, the check that indexes match their tables.
    """
    if connection.dialect.name != "sqlite":
        return list(connection.execute(_POSTGRES_COMPLAINTS).scalars())
    pragma = "quick_check" if quick else "integrity_check"
    lines = connection.exec_driver_sql(f"PRAGMA {pragma}({_MAX_COMPLAINTS})").scalars()
    return [line for line in lines if line != "ok"]


def count_free_pages(connection: ReadConnection) -> int:
    """Count the free pages that SQLite could release to the file system; 0 on PostgreSQL, which has autovacuum."""
    if connection.dialect.name != "sqlite" or connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() != _INCREMENTAL:
        return 0
    return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0)


def vacuum(connection: WriteConnection, pages: int) -> None:
    """Release up to ``pages`` free pages of a SQLite file to the file system."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - it is in a transaction
    # With any number, Python's driver stops the pragma after the first page, because it returns no columns to fetch.
    for _ in range(pages):
        driver.execute("PRAGMA incremental_vacuum(1)")
