"""What every migration is wrapped in."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.exc import DBAPIError

from dagbook.db.database import Database, ReadConnection
from dagbook.db.migrations.check import check
from dagbook.db.migrations.migration_support import MigrationFailed, migration
from dagbook.db.migrations.report_views import create_views
from dagbook.db.migrations.upgrade import open_for_migration, upgrade
from dagbook.db.types import Base
from tests.conftest import PostgresCopies
from tests.db.later_version import TRIGGERS
from tests.db.rows import FILLED, fill

Change = Callable[[Connection], None]
# A copied table's neighbours are read as well; what is lost of the table itself is found in the file, see ``revise``.
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection:sqlalchemy.exc.SAWarning")


def copy_tables(connection: Connection) -> None:
    """Do to tables what a batch operation on SQLite does to them; PostgreSQL changes tables in place."""
    operations = Operations(MigrationContext.configure(connection))
    for table in ("run_attempts", "nodes", "definitions"):
        with operations.batch_alter_table(table, recreate="auto" if is_postgresql(connection) else "always"):
            pass


def copy_runs(connection: Connection) -> None:
    operations = Operations(MigrationContext.configure(connection))
    with operations.batch_alter_table("runs", recreate="always"):
        pass


def copy_runs_but_indexes(connection: Connection) -> None:
    operations = Operations(MigrationContext.configure(connection))
    operations.drop_index("ix_runs_root", "runs")
    operations.drop_index("ix_runs_status", "runs")
    with operations.batch_alter_table("runs", recreate="always"):
        pass


def is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def rewrite_events(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE run_events SET data = '[]'")


def lose_chunks(connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM log_chunks")


def lose_definitions(connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM definitions")


async def migrate(url: str, change: Change, loses_rows: Collection[str] = ()) -> None:
    def work(connection: Connection) -> None:
        with migration(connection, triggers=TRIGGERS, loses_rows=loses_rows):
            change(connection)

    async with open_for_migration(url) as connection, connection.begin():
        await connection.run_sync(work)


async def counts(database: Database) -> dict[str, int]:
    def count(connection: ReadConnection, table: Table) -> int:
        return connection.scalar(select(func.count()).select_from(table)) or 0

    tables = Base.metadata.sorted_tables
    return await database.read(lambda connection: {table.name: count(connection, table) for table in tables})


@pytest.fixture
async def filled(database: Database) -> Database:
    await database.write(fill)
    return database


async def test_tables_may_be_copied_and_lose_neither_rows_nor_triggers(filled: Database, database_url: str) -> None:
    await migrate(database_url, copy_tables)
    assert {name for name, count in (await counts(filled)).items() if count == 1} == FILLED
    assert [difference for difference in await check(database_url) if not difference.startswith("table ")] == []


async def test_a_migration_may_change_what_the_triggers_protect(filled: Database, database_url: str) -> None:
    await migrate(database_url, rewrite_events)
    assert await check(database_url) == []
    data = "SELECT data FROM run_events"
    assert await filled.read(lambda connection: connection.exec_driver_sql(data).scalar_one()) == "[]"


async def test_rows_are_lost_only_where_the_migration_says_so(filled: Database, database_url: str) -> None:
    await migrate(database_url, lose_chunks, {"log_chunks"})
    assert (await counts(filled))["log_chunks"] == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lose_chunks, "table log_chunks had 1 rows and would have 0"),
        (lose_definitions, "a row of table runs would refer to a row of definitions"),
        (copy_runs, "index ix_runs_root would be changed by the copy"),
        (copy_runs_but_indexes, "numbering of table runs would be changed by the copy"),
    ],
)
async def test_on_sqlite_a_migration_that_would_lose_something_changes_nothing(
    tmp_path: Path, change: Change, reason: str
) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    await upgrade(url)
    filled = await Database.open(url)
    await filled.write(fill)
    with pytest.raises(MigrationFailed, match=reason):
        await migrate(url, change, {"definitions"})
    assert {name for name, count in (await counts(filled)).items() if count == 1} == FILLED
    await filled.close()
    assert await check(url) == []


async def test_a_migration_that_fails_leaves_triggers_and_rows(filled: Database, database_url: str) -> None:
    def fail(connection: Connection) -> None:
        lose_chunks(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await migrate(database_url, fail)
    assert (await counts(filled))["log_chunks"] == 1
    assert await check(database_url) == []


async def test_views_outlive_a_copied_table_also_those_of_the_owner(filled: Database, database_url: str) -> None:
    mine = "CREATE VIEW mine AS SELECT run_id FROM run_attempts"
    await filled.write(lambda connection: connection.exec_driver_sql(mine))
    await migrate(database_url, copy_tables)
    counted = "SELECT (SELECT count(*) FROM mine) + (SELECT count(*) FROM report_v1_attempts)"
    assert await filled.read(lambda connection: connection.exec_driver_sql(counted).scalar_one()) == 2
    assert [difference for difference in await check(database_url) if difference.startswith("view ")] == []


async def test_a_migration_that_takes_what_a_report_view_shows_changes_nothing(database_url: str) -> None:
    def drop(connection: Connection) -> None:
        Operations(MigrationContext.configure(connection)).drop_column("runs", "error")

    with pytest.raises((MigrationFailed, DBAPIError), match=r"report_v1_runs|other objects depend on it"):
        await migrate(database_url, drop)
    assert await check(database_url) == []


async def test_a_replaced_view_keeps_the_privileges_on_it(postgres_copies: PostgresCopies) -> None:
    def replace(connection: Connection) -> None:
        connection.exec_driver_sql("GRANT SELECT ON report_v1_runs TO PUBLIC")
        for revision in ("0114", "0121"):
            create_views(connection, revision)

    async for url in postgres_copies.copy():
        await migrate(url, replace)
        async with open_for_migration(url) as connection:
            granted = "SELECT relacl::text LIKE '%=r/%' FROM pg_class WHERE relname = 'report_v1_runs'"
            assert await connection.scalar(text(granted))
        assert await check(url) == []
