"""How much room the tables take, and what the database itself says about its health."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select, text

from dagbook.db.database import ReadConnection, WriteConnection
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
_POSTGRES_ALL = text("SELECT pg_database_size(current_database())")
# PostgreSQL checks its pages when it reads them and counts those that were damaged, where its cluster has checksums.
_POSTGRES_COMPLAINTS = text(
    "SELECT 'pages with a wrong checksum were read: ' || checksum_failures FROM pg_stat_database "
    "WHERE datname = current_database() AND checksum_failures > 0 "
    "UNION ALL SELECT 'index ' || indexrelid::regclass || ' is invalid' FROM pg_index "
    "JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE relnamespace = current_schema()::regnamespace AND NOT (indisvalid AND indisready) "
    "UNION ALL SELECT 'constraint ' || conname || ' was never checked on the rows there are' FROM pg_constraint "
    "WHERE connamespace = current_schema()::regnamespace AND NOT convalidated"
)


class TableUse(msgspec.Struct, frozen=True):
    """A table: its rows, and the bytes that it takes with its indexes."""

    name: str
    rows: int
    size: int


class Storage(msgspec.Struct, frozen=True):
    """What takes room: the whole database, what of it is free for new rows (None where that is not known), tables."""

    size: int
    free: int | None
    tables: Sequence[TableUse]


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
    return Storage(
        size=int(connection.scalar(_SQLITE_ALL if sqlite else _POSTGRES_ALL) or 0),
        free=int(connection.scalar(_SQLITE_FREE) or 0) if sqlite else None,
        tables=sorted(tables, key=lambda use: (-use.size, use.name)),
    )


def find_damage(connection: ReadConnection, *, quick: bool) -> list[str]:
    """Let the database check itself; an empty list means that it found nothing.

    ``quick`` leaves out, on SQLite, whether indexes agree with their tables.
    """
    if connection.dialect.name != "sqlite":
        return list(connection.execute(_POSTGRES_COMPLAINTS).scalars())
    pragma = "quick_check" if quick else "integrity_check"
    said = connection.exec_driver_sql(f"PRAGMA {pragma}({_MAX_COMPLAINTS})").scalars()
    return [line for line in said if line != "ok"]


def count_free_pages(connection: ReadConnection) -> int:
    """Count the pages that SQLite keeps for new rows and could give back to the disk; PostgreSQL sees to its own."""
    if connection.dialect.name != "sqlite" or connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() != _INCREMENTAL:
        return 0
    return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0)


def vacuum(connection: WriteConnection, pages: int) -> None:
    """Give free pages of a SQLite file back to the disk, at most so many."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - it is in a transaction
    # Whatever number the pragma is given, Python's driver leaves it after the first page: it has no columns to fetch.
    for _ in range(pages):
        driver.execute("PRAGMA incremental_vacuum(1)")
