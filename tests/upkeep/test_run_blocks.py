"""Blocks of runs are written in the background, by any number of servers, and never of what is changing just then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.database import Database, ReadConnection, WriteConnection
from app.db.failure import DatabaseUnavailable
from app.db.models import Run, RunBlock
from app.db.repositories import block_store
from app.db.repositories.block_store import Writer
from app.db.repositories.run_blocks import FULL
from app.db.url import parse_url
from app.upkeep import run_blocks as run_blocks_module
from app.upkeep.run_blocks import RunBlocks
from tests.db.rows import NOW, add_definition, run_sql, table_of
from tests.waiting import come_true

LATER = NOW + timedelta(days=1)


def write(runs: Sequence[Sequence[Any]]) -> list[bytes]:
    return [msgspec.json.encode(run[3]) for run in runs]


WRITER = Writer(form="test", write=write)


def make(database: Database, writer: Writer = WRITER) -> RunBlocks:
    return RunBlocks(database, writer, lambda: LATER, pauses=False)


def add_runs(connection: WriteConnection, name: str, number: int, first: int = 0) -> None:
    """Store runs of successive seconds that are over."""
    row: dict[str, Any] = {"dag_name": name, "definition_hash": "a" * 64, "queue": name, "trigger": "api", "params": []}
    row |= {"params_text": "", "tags": [], "status": 0, "attempt": 1, "max_active_runs": 1}
    times = [NOW + timedelta(seconds=second) for second in range(first, first + number)]
    rows = [{**row, "run_id": f"r{at.timestamp()}", "created_at": at} for at in times]
    connection.execute(insert(table_of(Run)), rows)
    for status in (1, 4):
        run_sql(connection, "UPDATE runs SET status = :status WHERE status < 2", status=status)


async def fill(database: Database, **runs: int) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for name, number in runs.items():
            add_runs(connection, name, number)

    await database.write(work)


async def blocks(database: Database) -> list[tuple[str, str, int]]:
    """Return of each block the DAG, the form and the number of runs."""

    def work(connection: ReadConnection) -> list[tuple[str, str, int]]:
        rows = connection.execute(
            select(RunBlock.dag_name, RunBlock.form, RunBlock.runs).order_by(RunBlock.dag_name, RunBlock.newest)
        )
        return [(row.dag_name, row.form, row.runs) for row in rows]

    return await database.read(work)


async def test_one_round_writes_all_that_there_is_to_write(database: Database) -> None:
    await fill(database, busy=2 * FULL + block_store.LEAST, calm=block_store.LEAST - 1)
    assert await make(database).run_once() == 3
    assert await blocks(database) == [("busy", "test", FULL), ("busy", "test", FULL), ("busy", "test", 32)]
    assert await make(database).run_once() == 0


async def test_what_has_become_stale_is_written_anew_in_the_next_round(database: Database) -> None:
    await fill(database, busy=FULL)
    await make(database).run_once()
    oldest = "DELETE FROM runs WHERE id = (SELECT min(id) FROM runs)"
    await database.write(lambda connection: run_sql(connection, oldest))
    assert await blocks(database) == [("busy", "", FULL)]
    assert await make(database).run_once() == 1
    assert await blocks(database) == [("busy", "test", FULL - 1)]


async def test_only_a_server_that_begins_writes_blocks_of_another_form_anew(database: Database) -> None:
    await fill(database, busy=2 * FULL)
    await make(database).run_once()
    other = make(database, Writer(form="other", write=write))
    assert await other.run_once() == 0
    assert await other.convert() == 2
    assert await blocks(database) == [("busy", "other", FULL)] * 2


async def test_it_goes_on_in_the_background_until_it_is_stopped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_SECONDS", "_PAUSE_SECONDS"):
        monkeypatch.setattr(run_blocks_module, name, 0.01)
    await fill(database, busy=FULL)
    writing = RunBlocks(database, WRITER, lambda: LATER)
    writing.start()
    writing.start()
    await come_true(partial(has_blocks, database, 1))
    await database.write(lambda connection: add_runs(connection, "busy", FULL, first=FULL))
    await come_true(partial(has_blocks, database, 2))
    await writing.stop()
    await writing.stop()


async def has_blocks(database: Database, number: int) -> bool:
    return len(await blocks(database)) == number


async def test_it_goes_on_when_the_database_is_there_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What reads says that the database is gone: that it is, at the right moment, cannot be had for real."""
    for name in ("_FIRST_SECONDS", "_PAUSE_SECONDS"):
        monkeypatch.setattr(run_blocks_module, name, 0.01)
    failures = [DatabaseUnavailable("gone"), ValueError("broken")]
    find = block_store.find_stale

    def fail_first(connection: ReadConnection, most: int) -> Sequence[block_store.Stale]:
        if failures:
            raise failures.pop(0)
        return find(connection, most)

    monkeypatch.setattr(block_store, "find_stale", fail_first)
    await fill(database, busy=FULL)
    writing = make(database)
    writing.start()
    await come_true(partial(has_blocks, database, 1))
    await writing.stop()
    assert [record.levelname for record in caplog.records if record.name == "app.upkeep.run_blocks"][:2] == [
        "WARNING",
        "ERROR",
    ]


# -- several servers -------------------------------------------------------------------------------------------------

ONE_WRITER = "SQLite has one writer at a time: nobody changes anything while blocks are written"
RETRY = "UPDATE runs SET status = 0, attempt = 2 WHERE id = (SELECT min(id) FROM runs)"


async def test_no_block_is_written_while_somebody_changes_history_unseen(database_url: str, database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip(ONE_WRITER)
    await fill(database, busy=FULL)
    engine = create_async_engine(parse_url(database_url))
    async with engine.connect() as other:
        await other.execute(text(RETRY))
        assert await make(database).run_once() == 0
        await other.commit()
    await engine.dispose()
    assert await make(database).run_once() == 1
    assert await blocks(database) == [("busy", "", FULL)]


async def test_nothing_counts_as_settled_that_a_transaction_may_have_begun_unseen(
    database_url: str, database: Database
) -> None:
    if database.dialect == "sqlite":
        pytest.skip(ONE_WRITER)
    await fill(database, busy=1)
    engine = create_async_engine(parse_url(database_url))
    async with engine.connect() as other:
        await other.execute(text("UPDATE runs SET queue = 'q'"))
        began = (await other.execute(text("SELECT now()"))).scalar_one()
        far = began + timedelta(days=1)
        settled = await database.read(lambda connection: block_store.find_settled(connection, far))
        assert settled == began - block_store.SETTLED
    await engine.dispose()


async def test_who_changes_history_while_its_block_is_written_finds_the_block(
    database_url: str, database: Database
) -> None:
    if database.dialect == "sqlite":
        pytest.skip(ONE_WRITER)
    await fill(database, busy=FULL)
    engine = create_async_engine(parse_url(database_url))
    async with engine.begin() as other:
        assert await other.run_sync(write_block)
        retrying = asyncio.create_task(database.write(lambda connection: run_sql(connection, RETRY)))
        await come_true(partial(somebody_waits, database))
    await retrying
    await engine.dispose()
    assert await blocks(database) == [("busy", "", FULL)]


def write_block(plain: Connection) -> bool:
    connection = WriteConnection(ReadConnection(plain))
    return block_store.take_turn(connection) and block_store.extend(connection, "busy", LATER, WRITER)


async def somebody_waits(database: Database) -> bool:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    return bool(await database.read(lambda connection: connection.execute(waiting).scalar()))


async def test_two_servers_that_write_at_the_same_time_write_each_block_once(database: Database) -> None:
    await fill(database, busy=6 * FULL, other=6 * FULL)
    async with asyncio.TaskGroup() as group:
        rounds = [group.create_task(make(database).run_once()) for _ in range(3)]
    await make(database).run_once()  # a round ends early where another server is at it
    assert sum(task.result() for task in rounds) <= 12
    total = select(func.count(), func.sum(RunBlock.runs))
    assert await database.read(lambda connection: tuple(connection.execute(total).one())) == (12, 12 * FULL)
