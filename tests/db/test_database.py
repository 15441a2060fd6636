"""How work is run: transactions, turns, cancellation, and what is told when it cannot be run."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from asyncpg import InternalClientError
from sqlalchemy import select, text, update
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from dagbook.db.database import VISIBLE, Database, ReadConnection, WriteConnection, mark_changed
from dagbook.db.errors import DatabaseUnavailable, translate_errors
from dagbook.db.models import Run
from dagbook.db.postgres import postgres
from dagbook.db.sqlite import sqlite
from tests.db.rows import add_whole_run, run_sql, table_of

RUNS = table_of(Run)
BOUND_SECONDS = 10


def counter(connection: ReadConnection | WriteConnection) -> int:
    return int(connection.execute(select(RUNS.c.max_active_runs)).scalar_one())


def add_one(connection: WriteConnection) -> None:
    before = connection.execute(select(RUNS.c.max_active_runs).with_for_update()).scalar_one()
    connection.execute(update(RUNS).values(max_active_runs=before + 1))


@pytest.fixture
async def counting(database: Database) -> Database:
    """A database with one run, whose counter stands at 1."""
    await database.write(add_whole_run)
    return database


async def test_a_write_is_seen_by_reads_and_glances(counting: Database) -> None:
    await counting.write(add_one)
    assert await counting.read(counter) == 2
    assert await counting.read_inline(counter) == 2


async def test_a_write_that_raises_leaves_nothing(counting: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_one(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await counting.write(work)
    assert await counting.read(counter) == 1


@pytest.mark.parametrize("way", ["read", "read_inline"])
async def test_nothing_is_written_through_a_read(counting: Database, way: str) -> None:
    work: Callable[[Any], None] = add_one
    with pytest.raises((SQLAlchemyError, DatabaseUnavailable)):
        await getattr(counting, way)(work)
    assert await counting.read(counter) == 1


async def test_a_glance_that_raises_does_not_spoil_the_next(counting: Database) -> None:
    with pytest.raises(SQLAlchemyError):
        await counting.read_inline(lambda connection: connection.execute(text("SELECT nothing FROM nowhere")))
    assert await counting.read_inline(counter) == 1


async def test_mistakes_in_statements_pass_as_they_are(counting: Database) -> None:
    with pytest.raises(SQLAlchemyError) as caught:
        await counting.write(lambda connection: run_sql(connection, "SELECT nothing FROM nowhere"))
    assert counting.dialect == "sqlite" or isinstance(caught.value, ProgrammingError)


async def test_twenty_writers_lose_no_update(counting: Database) -> None:
    async def ten() -> None:
        for _ in range(10):
            await counting.write(add_one)

    await asyncio.gather(*(ten() for _ in range(20)))
    assert await counting.read(counter) == 201


async def test_two_programs_on_one_database_lose_no_update(counting: Database, database_url: str) -> None:
    other = await Database.open(database_url)
    await asyncio.gather(*(database.write(add_one) for database in (counting, other) for _ in range(20)))
    await other.close()
    assert await counting.read(counter) == 41


@asynccontextmanager
async def held_up(database: Database) -> AsyncIterator[Callable[[WriteConnection], None]]:
    """Yield work that adds one and then waits inside its transaction until the block is left."""
    gate = Event()
    if database.dialect == "sqlite":

        def wait(connection: WriteConnection) -> None:
            add_one(connection)
            assert gate.wait(BOUND_SECONDS)

        yield wait
        gate.set()
        return

    async with asyncio.timeout(BOUND_SECONDS):
        locked, release = asyncio.Event(), asyncio.Event()
        holder = asyncio.create_task(_hold_advisory_lock(database, locked, release))
        await locked.wait()

        def wait_for_lock(connection: WriteConnection) -> None:
            add_one(connection)
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")

        yield wait_for_lock
        release.set()
        await holder


async def _hold_advisory_lock(database: Database, locked: asyncio.Event, release: asyncio.Event) -> None:
    engines: Any = database._backend
    async with engines._writers.engine.begin() as connection:
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
        locked.set()
        await release.wait()


async def begun(database: Database, task: asyncio.Task[None]) -> None:
    """Wait until the write's transaction is under way."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    async with asyncio.timeout(BOUND_SECONDS):
        while not task.done():
            await asyncio.sleep(0)
            if database.dialect == "sqlite":
                engines: Any = database._backend
                if engines._writer.driver.in_transaction:
                    return
            elif await database.read(lambda connection: connection.execute(waiting).scalar_one()):
                return


async def test_a_cancelled_caller_cuts_no_write_in_half_and_leaves_no_lock(counting: Database) -> None:
    async with held_up(counting) as work:
        task = asyncio.create_task(counting.write(work))
        await begun(counting, task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(BOUND_SECONDS):
        await counting.write(add_one)
    assert await counting.read(counter) == 3


async def test_what_a_write_tells_is_heard_when_its_caller_was_cancelled(counting: Database) -> None:
    heard = asyncio.Event()
    counting.on_commit(lambda _: heard.set())
    async with held_up(counting) as work:

        def telling(connection: WriteConnection) -> None:
            work(connection)
            mark_changed(connection, VISIBLE)

        task = asyncio.create_task(counting.write(telling))
        await begun(counting, task)
        task.cancel()
        assert not heard.is_set()
    async with asyncio.timeout(BOUND_SECONDS):
        await heard.wait()


async def test_closing_waits_for_the_writes_that_were_asked_for(counting: Database, database_url: str) -> None:
    closing = await Database.open(database_url)
    tasks = [asyncio.create_task(closing.write(add_one)) for _ in range(10)]
    await asyncio.sleep(0)
    await closing.close()
    await asyncio.gather(*tasks)
    assert await counting.read(counter) == 11


async def test_closing_twice_is_harmless(database_url: str) -> None:
    database = await Database.open(database_url)
    await database.close()
    await database.close()


async def test_a_cancelled_read_leaves_the_way_free(counting: Database) -> None:
    reads = [asyncio.create_task(counting.read(counter)) for _ in range(40)]
    await asyncio.sleep(0)
    for task in reads[::2]:
        task.cancel()
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert results[1::2] == [1] * 20
    assert await counting.read(counter) == 1


async def test_a_read_only_database_is_told_as_unavailable(counting: Database) -> None:
    def work(connection: WriteConnection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        else:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.execute(update(RUNS).values(max_active_runs=5))

    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await counting.write(work)


async def test_a_lock_that_is_not_to_be_had_is_told_as_unavailable(
    counting: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_MILLISECONDS", 20)
    impatient = await Database.open(database_url)

    def work(connection: WriteConnection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
        add_one(connection)

    async with held_up(counting) as holding:
        task = asyncio.create_task(counting.write(holding))
        await begun(counting, task)
        with pytest.raises(DatabaseUnavailable, match="lock"):
            await impatient.write(work)
    await task
    await impatient.write(work)
    await impatient.close()
    assert await counting.read(counter) == 3


async def test_a_full_disk_is_told_as_unavailable(counting: Database) -> None:
    def work(connection: WriteConnection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            run_sql(connection, "UPDATE runs SET params_text = :much", much="x" * 1_000_000)
        else:
            connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full'; END $$")

    with pytest.raises(DatabaseUnavailable, match="disk"):
        await counting.write(work)
    assert await counting.read(counter) == 1


async def test_a_database_that_is_not_there_is_told_as_unavailable(empty_url: str) -> None:
    gone = empty_url.replace("test.db", "no/such/folder.db").replace("test_", "gone_")
    with pytest.raises(DatabaseUnavailable, match=r"cannot be opened|no such database"):
        await Database.open(gone)


async def test_connections_have_the_settings_that_durability_needs(database: Database) -> None:
    def work(connection: WriteConnection) -> list[Any]:
        names = {
            "sqlite": (
                "PRAGMA journal_mode",
                "PRAGMA synchronous",
                "PRAGMA foreign_keys",
                "PRAGMA auto_vacuum",
                "PRAGMA wal_autocheckpoint",
            ),
            "postgresql": ("SHOW synchronous_commit", "SHOW transaction_isolation", "SHOW application_name"),
        }
        return [connection.exec_driver_sql(name).scalar() for name in names[connection.dialect.name]]

    await database.write(work, durable=False)  # which is for itself alone
    expected = {"sqlite": ["wal", 2, 1, 2, 16_000], "postgresql": ["on", "read committed", "dagbook"]}
    assert await database.write(work) == expected[database.dialect]


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_connections_to_a_machine_that_is_gone_end_in_ten_seconds(database_url: str) -> None:
    opened: Any = await Database.open(database_url)
    async with opened._backend._readers.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        used = raw.driver_connection._transport.get_extra_info("socket")
        assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
    await opened.close()


@pytest.mark.parametrize(
    ("state", "told"),
    [(2, DatabaseUnavailable), (11, InternalClientError)],
    ids=["the server ends the connection", "a query is running"],
)
def test_a_connection_that_postgresql_is_about_to_close_is_told_as_lost(state: int, told: type[Exception]) -> None:
    with pytest.raises(told), translate_errors("postgresql"):
        raise InternalClientError(f"cannot switch to state 11; another operation ({state}) is in progress")


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_when_all_connections_are_in_use_it_is_told_as_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_WAIT_SECONDS", 0.02)
    opened = await Database.open(database_url, pool_size=1)

    def look(connection: ReadConnection) -> int:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    first = await opened.read(look)
    slow = asyncio.create_task(opened.read(lambda connection: connection.exec_driver_sql("SELECT pg_sleep(0.5)")))
    await asyncio.sleep(0)
    with pytest.raises(DatabaseUnavailable, match="all connections to the database are in use"):
        await opened.read(look)
    await slow
    assert await opened.read(look) == first
    await opened.close()


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_a_connection_is_as_good_as_before_after_a_read_that_was_cancelled_or_raised(database_url: str) -> None:
    opened = await Database.open(database_url, pool_size=1)

    def fail(connection: ReadConnection) -> None:
        connection.exec_driver_sql("SELECT 1 / 0")

    for _ in range(3):
        slow = asyncio.create_task(opened.read(lambda connection: connection.exec_driver_sql("SELECT pg_sleep(60)")))
        await asyncio.sleep(0.05)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        with pytest.raises(SQLAlchemyError):
            await opened.read(fail)
        assert await opened.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one()) == 1
    await opened.close()


async def test_postgresql_starts_more_processes_for_long_reads_alone(database: Database) -> None:
    def most(connection: ReadConnection) -> int:
        if connection.dialect.name == "sqlite":
            pytest.skip("SQLite has no other processes")
        return int(connection.exec_driver_sql("SHOW max_parallel_workers_per_gather").scalar_one())

    assert (await database.read(most), await database.write(most)) == (0, 0)
    assert await database.snapshot(most) > 0


async def test_only_a_database_that_fails_with_this_machine_may_forget_a_write(database: Database) -> None:
    def work(connection: WriteConnection) -> Any:
        names = {"sqlite": "PRAGMA synchronous", "postgresql": "SHOW synchronous_commit"}
        return connection.exec_driver_sql(names[connection.dialect.name]).scalar()

    assert await database.write(work, durable=False) == {"sqlite": 1, "postgresql": "on"}[database.dialect]


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_two_schemas_of_one_database_do_not_keep_each_other_from_upkeep(database_url: str) -> None:
    one, other = [await Database.open(database_url, schema=schema) for schema in ("public", "other")]
    async with one.try_lock("retention") as first, other.try_lock("retention") as second:
        assert (first, second) == (True, True)
    await one.close()
    await other.close()


async def test_a_database_that_can_be_read_answers(database: Database) -> None:
    assert await database.answers_within(BOUND_SECONDS)


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_a_database_that_hangs_does_not_answer_and_few_connections_wait_for_it(
    database: Database, database_url: str
) -> None:
    other: Any = await Database.open(database_url)
    async with other._backend._writers.engine.begin() as connection:
        await connection.exec_driver_sql("LOCK TABLE alembic_version")
        async with asyncio.timeout(BOUND_SECONDS):
            assert await asyncio.gather(*(database.answers_within(0.05) for _ in range(50))) == [False] * 50
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database "
        waiting += "WHERE datname = current_database())"
        assert (await connection.exec_driver_sql(waiting)).scalar_one() == 1
    assert await database.answers_within(BOUND_SECONDS)
    await other.close()


async def test_a_write_that_fails_since_the_file_is_read_only_is_a_problem_that_health_tells(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    writable = await Database.open(url)
    await writable.write(lambda connection: run_sql(connection, "CREATE TABLE alembic_version (version_num TEXT)"))
    assert writable.write_problem == ""
    database = await Database.open(url, read_only=True)
    try:
        with pytest.raises(DatabaseUnavailable):
            await database.write(lambda connection: run_sql(connection, "INSERT INTO alembic_version VALUES ('1')"))
        assert database.write_problem == "the database file is read-only"
        assert await database.answers_within(5)
    finally:
        await database.close()
        await writable.close()
