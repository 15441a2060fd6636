"""An upgrade on PostgreSQL while others work on the tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.migrations.upgrade import current, upgrade
from dagbook.db.migrations.upgrade_postgres import UnusableDatabase
from dagbook.db.url import parse_url
from tests.db.later_version import LATER, install_later
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("copies", ["postgresql"], indirect=True)

_SERVER = (
    "'one', 'server', 'host', 'boot', 'namespace', 1, 1, 'http://one:8080', '1', now(), now(), now() + interval '60 s'"
)
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(parse_url(url), poolclass=NullPool)
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def until_a_lock_is_waited_for(url: str) -> None:
    async with connected(url) as observer:

        async def is_waited() -> bool:
            return bool(await observer.scalar(text(WAITING)))

        await wait_until(is_waited)


@pytest.mark.parametrize(("first", "then"), [("runs", "nodes"), ("nodes", "runs")])
async def test_a_writer_that_already_holds_a_table_goes_on_and_then_the_upgrade_does(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, then: str
) -> None:
    install_later(monkeypatch, tmp_path)
    async with connected(database_url) as writer:
        await writer.exec_driver_sql(f"LOCK TABLE {first} IN ROW EXCLUSIVE MODE")
        upgrading = asyncio.create_task(upgrade(database_url))
        await until_a_lock_is_waited_for(database_url)
        await writer.exec_driver_sql(f"LOCK TABLE {then} IN ROW EXCLUSIVE MODE")
        await writer.commit()
        await upgrading
    assert await current(database_url) == LATER


async def test_an_upgrade_that_does_not_get_the_tables_ends_and_names_who_has_them(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_later(monkeypatch, tmp_path)
    before = await current(database_url)
    async with connected(database_url) as reader:
        await reader.exec_driver_sql("SET application_name = 'pg_dump'")
        await reader.exec_driver_sql("SELECT 1 FROM runs")
        with pytest.raises(DatabaseUnavailable, match=r"within 0\.1 seconds: .*process \d+ of PostgreSQL \(pg_dump\)"):
            await upgrade(database_url, patience=0.1)
    assert await current(database_url) == before


async def test_a_write_that_loses_a_deadlock_is_done_again(database_url: str) -> None:
    database = await Database.open(database_url)
    holds = asyncio.Event()
    tries = 0

    def work(connection: WriteConnection) -> None:
        nonlocal tries
        tries += 1
        # The side that closes the circle is the first to look for a victim, and takes itself.
        connection.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")
        connection.exec_driver_sql("LOCK TABLE nodes IN ROW EXCLUSIVE MODE")
        holds.set()
        while tries == 1 and not connection.exec_driver_sql(WAITING).scalar():
            pass
        connection.exec_driver_sql("LOCK TABLE runs IN ROW EXCLUSIVE MODE")

    async with connected(database_url) as other:
        await other.exec_driver_sql("SET deadlock_timeout = '1h'")
        await other.exec_driver_sql("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        writing = asyncio.create_task(database.write(work))
        await holds.wait()
        await other.exec_driver_sql("LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE")
        await other.commit()
        await writing
    await database.close()
    assert tries > 1


SERIALIZATION_FAILURE = "DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$"


async def test_a_transaction_that_loses_twice_is_done_in_the_end(database_url: str) -> None:
    database = await Database.open(database_url)
    tries = 0

    def work(connection: WriteConnection) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            connection.exec_driver_sql(SERIALIZATION_FAILURE)

    await database.write(work)
    await database.close()
    assert tries == 3


async def test_a_transaction_that_always_loses_is_given_up(database_url: str) -> None:
    database = await Database.open(database_url)
    with pytest.raises(DatabaseUnavailable, match="because of another one"):
        await database.read(lambda connection: connection.exec_driver_sql(SERIALIZATION_FAILURE))
    await database.close()


async def test_a_statement_whose_tables_have_changed_since_is_done_again(database_url: str) -> None:
    database = await Database.open(database_url, pool_size=1)

    def work(connection: ReadConnection) -> None:
        connection.exec_driver_sql("SELECT pid FROM services")

    await database.read(work)
    async with connected(database_url) as other:
        await other.exec_driver_sql("ALTER TABLE services ALTER COLUMN pid TYPE BIGINT")
        await other.commit()
    await database.read(work)
    await database.close()


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_breaking_revision_waits_until_the_servers_have_stopped(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stopped: bool
) -> None:
    install_later(monkeypatch, tmp_path, breaking=True)
    async with connected(database_url) as connection:
        ended = "now()" if stopped else "NULL"
        await connection.exec_driver_sql(f"INSERT INTO services VALUES ({_SERVER}, {ended})")  # noqa: S608  # its own words
        await connection.commit()
    if stopped:
        await upgrade(database_url)
        assert await current(database_url) == LATER
        return
    with pytest.raises(UnusableDatabase, match="some are running: http://one:8080"):
        await upgrade(database_url)
    assert await current(database_url) != LATER
