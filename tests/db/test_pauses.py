"""Pauses of queues and of everything, and suspensions of DAGs: their ends count by the clock of the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.models.definition import Dag
from dagbook.db.models.queue import TotalPause
from dagbook.db.repositories import dags, queue, schedules
from dagbook.db.repositories.dags import Suspension
from dagbook.db.repositories.queue import PauseRow, TotalPauseRow
from tests.db.rows import NOW, add_dag, add_definition

SECOND = timedelta(seconds=1)


def _pause(until: datetime | None = None) -> TotalPauseRow:
    return TotalPauseRow(paused_at=NOW, paused_by="ann", reason="move of the database", until=until)


async def _read(database: Database, row: TotalPauseRow) -> TotalPauseRow | None:
    await database.write(queue.put_total_pause, row)
    return await database.read(queue.get_total_pause)


async def test_a_pause_of_everything_is_there_until_its_end(database: Database) -> None:
    now = datetime.now(UTC)
    assert await database.read(queue.get_total_pause) is None
    for row in (_pause(), _pause(now + timedelta(hours=1))):
        assert await _read(database, row) == row
    assert await _read(database, _pause(now - SECOND)) is None
    assert await _read(database, _pause()) == _pause()
    await database.write(queue.remove_total_pause)
    assert await database.read(queue.get_total_pause) is None


@pytest.mark.parametrize(
    ("values", "name"), [({"id": 2, "reason": "why"}, "only_one"), ({"id": 1, "reason": "ab"}, "reason_length")]
)
async def test_there_is_one_pause_of_everything_and_it_has_a_reason(
    database: Database, values: dict[str, object], name: str
) -> None:
    with pytest.raises(Conflict, match=name):
        await database.write(lambda connection: connection.execute(insert(TotalPause).values(paused_at=NOW, **values)))


async def test_a_pause_of_a_queue_ends_by_itself_and_the_next_one_is_a_new_one(database: Database) -> None:
    now = datetime.now(UTC)

    async def pause(at: datetime, reason: str | None, until: datetime | None) -> PauseRow | None:
        row = PauseRow(queue="q", paused_at=at, paused_by=reason, pause_reason=reason, until=until)
        await database.write(queue.pause, row)
        assert (await database.read(queue.find_blocked, ["q"]) == {"q"}) is (until is None or until > now)
        return (await database.read(queue.find_pauses)).get("q")

    first = await pause(NOW, "one", now + timedelta(hours=1))
    assert first is not None
    second = await pause(now, "two", None)
    assert second is not None
    assert (second.paused_at, second.paused_by, second.pause_reason, second.until) == (NOW, "one", "two", None)
    assert await pause(now, "three", now - SECOND) is None
    last = await pause(now, "four", None)
    assert last is not None
    assert (last.paused_by, last.pause_reason) == ("four", "four")


async def test_a_suspension_with_an_end_is_over_then_everywhere(database: Database) -> None:
    now = datetime.now(UTC)

    def store(connection: WriteConnection) -> None:
        add_definition(connection)
        add_dag(connection)

    await database.write(store)
    suspension = Suspension(suspend_reason="why", suspended_until=now + timedelta(hours=1), suspended_by="ann")
    assert await database.write(dags.suspend, "etl", suspension) == Suspension(suspended=False)

    async def states() -> tuple[bool, bool]:
        row = await database.read(dags.get, "etl")
        (scheduled,) = await database.read(schedules.find_dags)
        assert row is not None
        return row.suspended, scheduled.suspended

    assert await states() == (True, True)
    assert await database.write(dags.suspend, "etl", suspension) == suspension
    await database.write(lambda connection: connection.execute(update(Dag).values(suspended_until=now - SECOND)))
    assert await states() == (False, False)
    assert await database.write(dags.suspend, "etl", Suspension()) == Suspension(suspended=False)
    assert await states() == (True, True)
