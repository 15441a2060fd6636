"""Whose turn it is: what is read for it, and in which order entries of several servers come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from dagbook.db.backend import T
from dagbook.db.database import Arguments, Database, ReadConnection, WriteConnection
from dagbook.db.repositories import queue
from dagbook.engine.admission import QueueConfig, WaitCause
from dagbook.runs.store.new_run import as_queued, check_start
from dagbook.runs.store.queue_head import read_queue_head
from dagbook.runs.store.recorder import Recorder
from tests.runs.scene import IDENTITY, new_run, now, register
from tests.waiting import wait_until

SPEC = "queue: {}\nsteps: []\n"


async def _fill(database: Database, name: str, count: int) -> None:
    recorder = Recorder(database, IDENTITY.id, check_start)
    recorder.start()
    runs = [as_queued(new_run("etl", f"{name}-{number}", SPEC.format(name))) for number in range(count)]
    await asyncio.gather(*(recorder.accept(run) for run in runs))
    await recorder.stop()


@pytest.mark.parametrize(("limit", "read"), [(1, 1), (3, 3), (99, 5)])
async def test_no_more_entries_are_read_than_there_are_places(database: Database, limit: int, read: int) -> None:
    await register(database)
    await _fill(database, "q", 30)
    seen = await database.read(
        lambda connection: read_queue_head(connection, "q", QueueConfig(limits={"q": limit}), most=5)
    )
    assert [len(seen.rows), len(seen.admission.released)] == [read, read]


async def test_of_a_queue_that_is_held_up_one_entry_is_read(database: Database) -> None:
    await register(database)
    await _fill(database, "q", 30)
    pause = queue.PauseRow(queue="q", paused_at=now(), paused_by=None, pause_reason=None, until=None)
    await database.write(lambda connection: queue.pause(connection, pause))
    seen = await database.read(
        lambda connection: read_queue_head(connection, "q", QueueConfig(limits={"q": 9}), most=5)
    )
    assert [wait.cause for wait in seen.admission.queued.values()] == [WaitCause.PAUSED]


class _SlowDatabase(Database):
    """A PostgreSQL database whose commits wait for a word."""

    def __init__(self, real: Database) -> None:
        super().__init__(real._backend)
        self.written, self.word = asyncio.Event(), asyncio.Event()

    async def write(
        self, work: Callable[[WriteConnection, *Arguments], T], *arguments: *Arguments, **_options: bool
    ) -> T:
        async with self._backend._writers.engine.begin() as connection:  # type: ignore[attr-defined]  # as PostgreSQL's has
            await connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            result: T = await connection.run_sync(
                lambda plain: work(WriteConnection(ReadConnection(plain)), *arguments)
            )
            self.written.set()
            await self.word.wait()
            return result


async def test_nobody_can_see_a_later_entry_of_a_queue_before_an_earlier_one(
    database: Database, database_url: str
) -> None:
    """What another server lets wait in the same queue gets its number when the one before is committed."""
    if database.dialect == "sqlite":
        pytest.skip("one server works on a file, and one thread of it writes")
    slow, other = _SlowDatabase(database), await Database.open(database_url)
    recorders = [Recorder(slow, IDENTITY.id, check_start), Recorder(other, IDENTITY.id, check_start)]
    for recorder in recorders:
        recorder.start()
    names = ("one", "two")
    first, second = (as_queued(new_run(name, "r1", SPEC.format("q"))) for name in names)
    early = asyncio.create_task(recorders[0].accept(first))
    await slow.written.wait()
    late = asyncio.create_task(recorders[1].accept(second))

    async def look() -> bool:
        return late.done() or await other.read(_waits_for_turn)

    await wait_until(look)
    overtaken = late.done()
    slow.word.set()
    assert all(await asyncio.gather(early, late))
    assert not overtaken
    entries = await other.read(lambda connection: queue.find_next(connection, "q", 9))
    assert [entry.run_id for entry in entries] == [first.key, second.key]
    for recorder in recorders:
        await recorder.stop()
    await other.close()


def _waits_for_turn(connection: ReadConnection) -> bool:
    statement = (
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"
    )
    return bool(connection.exec_driver_sql(statement).scalar())
