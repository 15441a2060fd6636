"""What the live feed promises whoever is slow, many or late: bounded, read once, nothing lost and nothing twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from dagbook.api.live import feed as feed_module
from dagbook.api.live.feed import Feed
from dagbook.api.live.sse import read_cursor
from dagbook.api.live.subscription import MAX_BYTES, FeedFilter, Subscription
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import changes
from dagbook.db.repositories.changes import FeedCursor
from tests.statements import noting_statements
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.both_engines

ALL = FeedFilter()


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[Feed]:
    await database.write(changes.initialise)
    opened = Feed(database, 1000)
    opened.start()
    yield opened
    await opened.stop()


async def tell(database: Database, *names: str) -> None:
    await database.write(lambda connection: changes.add_queue_changes(connection, names))


def queues(frames: bytes) -> list[str]:
    return [part.split(b'"')[0].decode() for part in frames.split(b'"queue":"')[1:]]


def last_place(frames: bytes) -> FeedCursor:
    return read_cursor(frames.rpartition(b"id: ")[2].partition(b"\n")[0].decode(), "after")


async def take_until(subscription: Subscription, name: str) -> bytes:
    found = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while name not in queues(found):
            found += await subscription.take(1)
    return found


async def test_one_read_serves_everybody(feed: Feed, database: Database) -> None:
    clients = [await feed.subscribe(ALL, None) for _ in range(100)]
    await feed.run_once()
    read: list[str] = []

    def note(statement: str, *_: object) -> None:
        if "FROM changes" in statement:
            read.append(statement)

    with noting_statements(note):
        for name in ("one", "two"):  # a read that was under way before is not heard, and may bring the first
            await tell(database, name)
            for client in clients:
                await take_until(client, name)
    assert 1 <= len(read) < 40  # a look that nobody asked for may come between


async def test_while_nobody_listens_nothing_is_read(feed: Feed, database: Database) -> None:
    feed.unsubscribe(await feed.subscribe(ALL, None))
    before = feed._head
    await tell(database, "one")
    await feed.run_once()
    assert feed._head == before
    late = await feed.subscribe(ALL, None)
    await tell(database, "two")
    assert queues(await take_until(late, "two")) == ["two"]


async def test_a_client_that_takes_nothing_is_let_go_and_resumes_where_it_was(feed: Feed, database: Database) -> None:
    slow = await feed.subscribe(ALL, None)
    await tell(database, "first")
    seen = last_place(await take_until(slow, "first"))
    names = [f"{number:06}" for number in range(3 * MAX_BYTES // 120)]
    for begin in range(0, len(names), 1000):
        await tell(database, *names[begin : begin + 1000])
    await tell(database, "last")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not slow.ended:
            assert slow.size <= MAX_BYTES
            await feed.run_once()
    assert slow.size == 0
    feed.unsubscribe(slow)
    again = await feed.subscribe(ALL, seen)
    missed = [name async for part in feed.read_backlog(again) for name in queues(part)]
    if "last" not in missed:
        missed += queues(await take_until(again, "last"))
    assert missed == [*names, "last"]


async def test_a_client_reads_its_backlog_while_news_comes(feed: Feed, database: Database) -> None:
    other = await feed.subscribe(ALL, None)
    begin = other.begin
    names = [f"{number:06}" for number in range(1200)]
    await tell(database, *names)
    await take_until(other, names[-1])
    back = await feed.subscribe(ALL, begin)
    found: list[str] = []
    async for part in feed.read_backlog(back):
        if not found:
            await tell(database, "new")
        found += queues(part)
    found += queues(await take_until(back, "new"))
    assert found == [*names, "new"]


@pytest.mark.usefixtures("feed")
async def test_another_process_is_woken_by_a_commit(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a SQLite file has one server")
    monkeypatch.setattr(feed_module, "_POLL_SECONDS", 600.0)  # nobody looks unless they are woken
    other = await Database.open(database_url)
    far = Feed(other, 10)
    far.start()
    client = await far.subscribe(ALL, None)
    name = "one"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while name not in queues(await client.take(0.2)):  # it may not listen yet when the first is told
            await tell(database, name)
    await far.stop()
    await other.close()


@pytest.mark.usefixtures("feed")
async def test_a_listener_that_lost_its_connection_is_woken_again(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("a SQLite file has one server")
    monkeypatch.setattr("dagbook.db.notifications._RETRY_SECONDS", 0.01)
    monkeypatch.setattr(feed_module, "_POLL_SECONDS", 600.0)
    other = await Database.open(database_url, application="far")
    far = Feed(other, 10)
    far.start()
    client = await far.subscribe(ALL, None)
    ends = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'far' AND query LIKE 'LISTEN%' AND datname = current_database()"
    )
    await wait_until(lambda: database.read(lambda connection: connection.scalar(ends)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "one" not in queues(await client.take(0.2)):
            await tell(database, "one")
    await far.stop()
    await other.close()


async def test_a_change_behind_a_long_transaction_is_told_when_that_ends(
    database: Database, database_url: str, feed: Feed
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time, so no transaction overtakes another")
    client = await feed.subscribe(ALL, None)
    holds, go = asyncio.Event(), asyncio.Event()
    other = await Database.open(database_url)

    async def hold() -> None:
        async with other._backend._writers.engine.begin() as connection:  # type: ignore[attr-defined]
            await connection.execute(text("SELECT pg_current_xact_id()"))
            holds.set()
            await go.wait()

    holding = asyncio.create_task(hold())
    await holds.wait()
    await tell(database, "one")
    await feed.run_once()
    assert client.size == 0
    go.set()
    await holding
    assert queues(await take_until(client, "one")) == ["one"]
    await other.close()


async def test_nobody_misses_a_change_or_gets_it_twice_however_transactions_overlap(
    database: Database, database_url: str, feed: Feed
) -> None:
    """Four servers write at once, hold what they have written, roll some back; a client comes back again and again."""
    chance = random.Random(17)  # noqa: S311 - the same for every run
    servers = [await Database.open(database_url, pool_size=4) for _ in range(4 if database.dialect != "sqlite" else 1)]
    kept = [[f"{number}-{count}" for count in range(40)] for number in range(4)]
    place = (await feed.subscribe(ALL, None)).begin
    writing = asyncio.gather(
        *(_write(servers[number % len(servers)], names, chance) for number, names in enumerate(kept))
    )
    wanted = {name for names in kept for name in names}
    found: list[str] = []
    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        while not (wanted <= set(found) and writing.done()):
            client = await feed.subscribe(ALL, place)
            assert not client.missed
            parts = [part async for part in feed.read_backlog(client)]
            parts += [await client.take(0.05) for _ in range(chance.randrange(4))]
            feed.unsubscribe(client)
            if seen := b"".join(parts):
                found += queues(seen)
                place = last_place(seen)
    await writing
    for server in servers:
        await server.close()
    assert sorted(found) == sorted(wanted)


async def _write(database: Database, names: list[str], chance: random.Random) -> None:
    for name in names:
        seconds = chance.random() / 50
        if chance.random() < 0.2:
            with pytest.raises(LookupError):
                await database.write(lambda connection: _hold(connection, "lost", 0.0, fail=True))
        await database.write(
            lambda connection, name=name, seconds=seconds: _hold(connection, name, seconds)  # type: ignore[misc]
        )


def _hold(connection: WriteConnection, name: str, seconds: float, *, fail: bool = False) -> None:
    """Tell of a change at once, and commit a moment later."""
    changes.add_queue_changes(connection, [name])
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
    if fail:
        raise LookupError
