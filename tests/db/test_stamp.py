"""The stamp of a database: another one after every commit, whoever made it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from app.db.database import Database, WriteConnection
from app.db.models import Run
from tests.db.rows import add_whole_run, table_of
from tests.waiting import come_true

RUNS = table_of(Run)


def add_one(connection: WriteConnection) -> None:
    connection.execute(update(RUNS).values(max_active_runs=RUNS.c.max_active_runs + 1))


async def test_it_stays_while_nobody_commits(database: Database) -> None:
    async def stays() -> bool:  # other databases of the same PostgreSQL count too
        return await database.stamp() == await database.stamp()

    assert await come_true(stays)


async def test_it_is_another_one_after_a_commit(database: Database) -> None:
    await database.write(add_whole_run)
    stamps = [await database.stamp()]
    for _ in range(3):
        await database.write(add_one)
        stamps.append(await database.stamp())
    assert len(set(stamps)) == 4


async def test_it_is_another_one_after_somebody_else_has_committed(database: Database, database_url: str) -> None:
    await database.write(add_whole_run)
    other = await Database.open(database_url)
    before = await database.stamp()
    await other.write(add_one)
    assert await database.stamp() != before
    await other.close()


async def test_what_is_read_after_a_stamp_is_at_least_as_new(database: Database) -> None:
    await database.write(add_whole_run)
    seen: dict[object, set[int]] = {}

    async def look() -> None:
        stamp = await database.stamp()
        read = await database.read(lambda connection: connection.execute(select(RUNS.c.max_active_runs)).scalar_one())
        if stamp == await database.stamp():  # so nothing was committed meanwhile
            seen.setdefault(stamp, set()).add(read)

    async def change() -> None:
        for _ in range(20):
            await database.write(add_one)

    await asyncio.gather(change(), *(look() for _ in range(40)))
    await come_true(lambda: _seen(look, seen))
    assert all(len(values) == 1 for values in seen.values())


async def _seen(look: object, seen: dict[object, set[int]]) -> bool:
    await look()  # type: ignore[operator]
    return bool(seen)


@pytest.mark.parametrize("copies", ["postgresql"], indirect=True)
async def test_those_who_ask_together_cost_postgresql_one_question(database: Database) -> None:
    asked = 0
    engines = database._engines
    ask = engines._stamp._ask  # type: ignore[attr-defined]

    async def counting() -> object:
        nonlocal asked
        asked += 1
        return await ask()

    engines._stamp._ask = counting  # type: ignore[attr-defined]
    await asyncio.gather(*(database.stamp() for _ in range(20)))
    assert asked == 1
