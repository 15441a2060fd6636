"""What the recorder tells the live feed: with every group, in its commit, each run once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from dagbook.db.database import OUTPUT, VISIBLE, Database
from dagbook.db.repositories import changes
from dagbook.db.repositories.changes import ChangeRow, FeedCursor
from dagbook.runs.store.new_run import as_queued, check_start
from dagbook.runs.store.recorder import Recorder
from tests.runs.scene import IDENTITY, again, ended, new_run, register, running, told, written
from tests.statements import noting_statements


@pytest.fixture
async def recorder(database: Database) -> AsyncIterator[Recorder]:
    await register(database)
    opened = Recorder(database, IDENTITY.id, check_start)
    opened.start()
    yield opened
    await opened.stop()


async def read(database: Database) -> list[ChangeRow]:
    batch = await database.read(lambda connection: changes.find_after(connection, FeedCursor(), 1000))
    return list(batch.changes)


async def test_a_group_tells_of_each_of_its_runs_once_and_in_one_statement(
    recorder: Recorder, database: Database
) -> None:
    runs = [new_run() for _ in range(10)]
    for run in runs:
        await recorder.accept(run)
    before = len(await read(database))
    statements: list[int] = []

    def note(statement: str, values: list[list[object]], many: bool) -> None:
        if "INTO changes" in statement:
            statements.append(len(values) if many else len(values[0]))

    with noting_statements(note):
        await asyncio.gather(*(recorder.record(told(run, seq)) for run in runs for seq in (2, 3, 4)))
    found = (await read(database))[before:]
    assert (len(found), len(statements)) == (sum(statements), len(statements))
    assert len(statements) <= 2  # the first may go alone, before the others wait
    assert len({told.dag_name for told in found[-10:]}) == 10
    assert {told.event for told in found[-10:]} == {4}


async def test_a_run_is_told_as_it_stands_when_its_group_is_committed(recorder: Recorder, database: Database) -> None:
    run = new_run("etl", "r1")
    await recorder.accept(run)
    await recorder.record(msgspec.structs.replace(told(run, 2), run=running(run)))
    await recorder.record(ended(run, 3))
    found = await read(database)
    assert [(told.dag_name, told.run_id, told.attempt, told.event) for told in found] == [
        ("etl", "r1", 1, 1),
        ("etl", "r1", 1, 2),
        ("etl", "r1", 1, 3),
    ]
    assert found[1].status == 1
    assert found[2].status == 2


async def test_what_was_refused_is_not_told(recorder: Recorder, database: Database) -> None:
    run = new_run()
    await recorder.accept(run)
    results = await asyncio.gather(
        recorder.record(told(run, 9)),  # a gap
        recorder.record(told(run, 2, token=9)),  # a fence that is lost
        recorder.accept(run),  # an id that is taken
        return_exceptions=True,
    )
    assert all(isinstance(result, Exception) for result in results)
    assert len(await read(database)) == 1


async def test_output_that_grows_has_no_row_and_wakes_this_process_alone(
    recorder: Recorder, database: Database
) -> None:
    run = new_run()
    await recorder.accept(run)
    heard: list[set[str]] = []
    database.on_commit(heard.append)
    await recorder.store_log(written(run, 0))
    await recorder.record(told(run, 2))
    assert heard == [{OUTPUT}, {VISIBLE}]
    assert len(await read(database)) == 2


async def test_a_retry_that_waits_changes_its_queue(recorder: Recorder, database: Database) -> None:
    run = new_run()
    await recorder.accept(run)
    await recorder.record(ended(run, 2))
    before = len(await read(database))
    await recorder.accept(as_queued(again(run, 2)))
    found = (await read(database))[before:]
    assert [(told.kind, told.attempt, told.status) for told in found] == [("run", 2, 5), ("queue", None, None)]


async def test_who_comes_into_a_queue_changes_it(recorder: Recorder, database: Database) -> None:
    run = as_queued(new_run())
    await recorder.accept(run)
    assert [(told.kind, told.data.queue) for told in await read(database)] == [
        ("run", ""),
        ("queue", run.queue),
    ]
