"""SQLite's log is moved into the database beside the writer."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from dagbook.db.database import Database
from dagbook.db.sqlite.checkpointer import Checkpointer
from tests.db.rows import run_sql
from tests.waiting import wait_until

ENOUGH = 4_000
MEBIBYTE = 1024 * 1024
ADD = "INSERT INTO t VALUES (zeroblob(:size))"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite:///{path}")
    await opened.write(lambda connection: run_sql(connection, "CREATE TABLE t (a BLOB)"))
    yield opened
    await opened.close()


async def _write(database: Database, *, durable: bool = True) -> None:
    await database.write(lambda connection: run_sql(connection, ADD, size=MEBIBYTE), durable=durable)


async def _until_moved(path: Path) -> None:
    async def moved() -> bool:
        return path.stat().st_size > MEBIBYTE

    await wait_until(moved)


async def test_the_log_is_moved_once_enough_was_written(database: Database, path: Path) -> None:
    await _write(database)
    checkpointer = Checkpointer(str(path))
    checkpointer.add_pages(ENOUGH - 1)
    await checkpointer.close()
    assert path.stat().st_size < MEBIBYTE
    again = Checkpointer(str(path))
    again.add_pages(ENOUGH)
    await again.close()
    assert path.stat().st_size > MEBIBYTE


async def test_output_in_bulk_counts_for_what_it_is(database: Database, path: Path) -> None:
    for _ in range(16):
        await _write(database, durable=False)
    await _until_moved(path)


async def test_a_log_that_cannot_be_moved_is_told_and_moved_later(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = path.parent / "later"
    checkpointer = Checkpointer(str(folder / "test.db"))
    checkpointer.add_pages(ENOUGH)

    async def told() -> bool:
        return "unable to open" in caplog.text

    await wait_until(told)
    folder.mkdir()
    with closing(sqlite3.connect(folder / "test.db")) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (a BLOB)")
        writer.execute(ADD, {"size": MEBIBYTE})
        writer.commit()

        async def moved() -> bool:
            checkpointer.add_pages(ENOUGH)  # again and again: the try that failed may still be ending
            return (folder / "test.db").stat().st_size > MEBIBYTE

        await wait_until(moved)
    await checkpointer.close()
