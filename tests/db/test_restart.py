"""PostgreSQL goes away and comes back under an open database."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import services
from tests.conftest import POSTGRES


class Server:
    def __init__(self, directory: str) -> None:
        self._directory = directory

    async def start(self) -> str:
        return await self._run("start")

    async def stop(self) -> None:
        await self._run("stop")

    async def _run(self, verb: str) -> str:
        process = await asyncio.create_subprocess_exec(
            POSTGRES, verb, self._directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode().strip()


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="dagbook-restart-") as directory:
        server = Server(directory)
        await server.start()
        yield server
        await server.stop()


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Database]:
    """A database whose pool holds several connections and whose only table has one row; each test leaves it running."""
    address = (Path(server._directory) / "url").read_text().split()[0]
    database = await Database.open(address)
    await database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE kept AS SELECT 1 AS number"))
    await asyncio.gather(*(database.read(numbers) for _ in range(8)))
    yield database
    await database.write(lambda connection: connection.exec_driver_sql("DROP TABLE kept"))
    await database.close()


def numbers(connection: ReadConnection) -> list[int]:
    return list(connection.exec_driver_sql("SELECT number FROM kept ORDER BY number").scalars())


def keep_two(connection: WriteConnection) -> None:
    connection.exec_driver_sql("INSERT INTO kept VALUES (2)")


async def test_the_next_call_works_after_a_restart_that_nobody_noticed(server: Server, opened: Database) -> None:
    await server.stop()
    await server.start()
    await opened.write(keep_two)
    results = await asyncio.gather(*(opened.read(numbers) for _ in range(8)))
    assert results == [[1, 2]] * 8


async def test_while_it_is_away_calls_are_told_so_and_later_ones_work(server: Server, opened: Database) -> None:
    await server.stop()
    for call in (opened.write(keep_two), opened.read(numbers), opened.read_inline(numbers)):
        with pytest.raises(DatabaseUnavailable):
            await call
    await server.start()
    await opened.write(keep_two)
    assert await opened.read_inline(numbers) == [1, 2]


async def test_a_connection_lost_inside_a_transaction_is_told(server: Server, opened: Database) -> None:
    waiting = asyncio.create_task(opened.write(lambda connection: connection.exec_driver_sql("SELECT pg_sleep(60)")))
    count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    async with asyncio.timeout(10):
        asleep = 0
        while not asleep:
            asleep = await opened.read(lambda connection: connection.exec_driver_sql(count).scalar_one())
    await server.stop()
    with pytest.raises(DatabaseUnavailable):
        await waiting
    await server.start()
    assert await opened.read(numbers) == [1]


async def test_opening_a_server_that_is_away_is_told(server: Server, opened: Database) -> None:
    address = (Path(server._directory) / "url").read_text().split()[0]
    assert await opened.read(numbers) == [1]
    await server.stop()
    with pytest.raises(DatabaseUnavailable):
        await Database.open(address)
    await server.start()


async def test_a_transaction_that_stands_still_is_given_up_and_told_as_unavailable(opened: Database) -> None:
    """A server that was stopped inside a transaction must not keep others from the rows it has locked."""

    def fall_asleep(connection: WriteConnection) -> None:
        limit = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
        assert limit == "5s"
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        connection.exec_driver_sql("UPDATE kept SET number = 3")
        time.sleep(0.2)  # the whole process stands still, as when it is stopped
        connection.exec_driver_sql("UPDATE kept SET number = 4")

    with pytest.raises(DatabaseUnavailable, match=r"idle for too long|lost"):
        await opened.write(fall_asleep)
    await opened.write(keep_two)
    assert await opened.read(numbers) == [1, 2]


@pytest.fixture
def stand_still(server: Server) -> Callable[[ReadConnection], list[int]]:
    """Look twice, and in between let another server end all who fell asleep."""
    address = (Path(server._directory) / "url").read_text().split()[0]

    async def end_sleepers() -> None:
        other = await Database.open(address)
        await other.write(lambda connection: services.terminate_stuck_sessions(connection, seconds=0))
        await other.close()

    def look(connection: ReadConnection) -> list[int]:
        numbers(connection)
        thread = threading.Thread(target=lambda: asyncio.run(end_sleepers()))
        thread.start()
        thread.join()
        return numbers(connection)

    return look


async def test_who_fell_asleep_inside_a_transaction_is_ended_by_another_server(
    opened: Database, stand_still: Callable[[ReadConnection], list[int]]
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await opened.write(stand_still)


async def test_what_reads_without_limits_of_time_is_not_taken_for_asleep(
    opened: Database, stand_still: Callable[[ReadConnection], list[int]]
) -> None:
    assert await opened.snapshot(stand_still) == [1]
