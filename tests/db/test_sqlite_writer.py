"""The thread that writes to SQLite."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event, current_thread

import pytest

from dagbook.db.database import VISIBLE, Database, WriteConnection, mark_changed
from dagbook.telemetry.logging import JsonFormatter, masked_log, request_id

BOUND_SECONDS = 10


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/written.db"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url)
    yield opened
    await opened.close()


async def test_a_line_logged_inside_a_write_has_request_id_and_masking_of_the_caller(database: Database) -> None:
    stream, log = io.StringIO(), logging.getLogger("test.sqlite_writer")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    token = request_id.set("7f3a")
    try:
        with masked_log(lambda line: line.replace("hunter2", "*******")):
            await database.write(lambda _: log.warning("password hunter2"))
    finally:
        request_id.reset(token)
        log.removeHandler(handler)
    line = json.loads(stream.getvalue())
    assert (line["request_id"], line["message"]) == ("7f3a", "password *******")


async def test_writes_run_in_the_order_in_which_they_were_asked_for(database: Database) -> None:
    written: list[int] = []

    def note(_: WriteConnection, number: int) -> None:
        written.append(number)

    await asyncio.gather(*(database.write(partial(note, number=number)) for number in range(50)))
    assert written == list(range(50))


async def test_a_write_that_waits_for_its_turn_is_not_lost_with_its_caller(database: Database) -> None:
    go, begun, told = Event(), Event(), asyncio.Event()
    database.on_commit(lambda _: told.set())

    def wait(_: WriteConnection) -> None:
        begun.set()
        assert go.wait(BOUND_SECONDS)

    first = asyncio.create_task(database.write(wait))
    assert await asyncio.to_thread(begun.wait, BOUND_SECONDS)
    second = asyncio.create_task(database.write(partial(mark_changed, what=VISIBLE)))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go.set()
    await first
    async with asyncio.timeout(BOUND_SECONDS):
        await told.wait()


async def test_listeners_are_called_in_the_loop_s_thread_before_the_caller_goes_on(database: Database) -> None:
    threads: list[str] = []
    database.on_commit(lambda _: threads.append(current_thread().name))
    await database.write(partial(mark_changed, what=VISIBLE))
    assert threads == [current_thread().name]


async def test_a_closed_database_refuses_writes(url: str) -> None:
    database = await Database.open(url)
    await database.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        await database.write(lambda _: None)


async def test_a_loop_that_ends_without_waiting_leaves_the_writer_to_others(database: Database) -> None:
    go = Event()

    async def leave() -> None:
        write = asyncio.ensure_future(database.write(lambda _: go.wait(BOUND_SECONDS)))
        await asyncio.sleep(0)
        write.cancel()

    await asyncio.to_thread(asyncio.run, leave())
    go.set()
    assert await database.write(lambda _: "goes on") == "goes on"


FORGETFUL = """
import asyncio, sys
from dagbook.db.database import Database

async def main():
    database = await Database.open(sys.argv[1])
    await database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE written (number INTEGER)"))
    insert = "INSERT INTO written VALUES (7)"
    asyncio.ensure_future(database.write(lambda connection: connection.exec_driver_sql(insert)))
    await asyncio.sleep(0)

asyncio.run(main())
"""


def test_a_database_that_is_not_closed_keeps_no_process_alive_and_loses_no_write(tmp_path: Path, url: str) -> None:
    subprocess.run([sys.executable, "-c", FORGETFUL, url], timeout=60, check=True)
    with closing(sqlite3.connect(tmp_path / "written.db")) as file:
        assert file.execute("SELECT number FROM written").fetchall() == [(7,)]
