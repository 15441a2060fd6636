"""The rows of the live feed: told in the commit of the change, read in an order in which nothing appears later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import NullPool, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from dagbook.db.database import OUTPUT, VISIBLE, Database, ReadConnection, WriteConnection
from dagbook.db.models import Change
from dagbook.db.repositories import changes
from dagbook.db.repositories.changes import FeedCursor
from dagbook.db.url import parse_url
from dagbook.engine.status import RunStatus
from dagbook.maintenance.change_pruning import ChangePruner
from tests.db.plans import plans, scanned
from tests.db.rows import add_definition, add_event, add_run, add_run_in, add_whole_run, rehearse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400.0
BEGIN = FeedCursor()


def names(batch: changes.Batch) -> list[str]:
    return [told.data.queue for told in batch.changes if told.data.queue]


async def read(database: Database, place: FeedCursor = BEGIN, most: int = 500) -> changes.Batch:
    return await database.read(lambda connection: changes.find_after(connection, place, most))


async def tell(database: Database, name: str) -> None:
    await database.write(lambda connection: changes.add_queue_changes(connection, [name]))


async def extent(database: Database) -> changes.FeedRange:
    return await database.read(changes.get_range)


async def test_a_run_is_told_with_its_names_and_how_it_stands_by_then(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        run = add_run_in(connection, RunStatus.FAILED)
        add_event(connection, run, 1)
        changes.add_run_changes(connection, [run])

    await database.write(work)
    (told,) = (await read(database)).changes
    assert (told.kind, told.dag_name, told.status, told.attempt, told.event) == ("run", "etl", 2, 1, 1)
    assert (told.root_name, told.data) == (None, changes.ChangeData())


async def test_a_sub_run_is_told_with_the_names_of_its_root(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        root = add_run(connection, run_id="above")
        below = add_run(connection, run_id="below", root_id=root, parent_id=root)
        changes.add_run_changes(connection, [below])

    await database.write(work)
    (told,) = (await read(database)).changes
    assert (told.run_id, told.root_name, told.root_run_id) == ("below", "etl", "above")


async def test_what_is_rolled_back_was_never_told(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        changes.add_queue_changes(connection, ["never"])
        raise LookupError

    told: list[set[str]] = []
    database.on_commit(told.append)
    with pytest.raises(LookupError):
        await database.write(work)
    assert (names(await read(database)), told) == ([], [])


async def test_who_listens_hears_of_what_was_committed_and_of_nothing_else(database: Database) -> None:
    heard: list[set[str]] = []
    database.on_commit(heard.append)
    await tell(database, "one")
    await database.write(add_whole_run)
    await database.write(changes.add_output_change)
    assert heard == [{VISIBLE}, {OUTPUT}]


async def test_a_batch_ends_where_it_is_told_to_and_the_next_goes_on_there(database: Database) -> None:
    for number in range(5):
        await tell(database, f"q{number}")
    first = await read(database, most=3)
    second = await read(database, first.changes[-1].cursor)
    assert names(first) + names(second) == [f"q{number}" for number in range(5)]


async def test_a_place_is_covered_from_the_first_to_the_last(database: Database) -> None:
    await database.write(changes.initialise)
    begin = await extent(database)
    await tell(database, "one")
    end = await extent(database)
    assert begin.first == begin.last == end.first
    assert begin.last is not None
    assert end.last is not None
    assert begin.last < end.last
    assert all(end.covers(place) for place in (begin.last, end.last))
    assert not end.covers(FeedCursor(begin.last.xact, begin.last.number - 1))
    beyond = FeedCursor(end.horizon, 1) if end.horizon else FeedCursor(0, end.last.number + 1)
    assert not end.covers(beyond)


async def test_a_feed_begins_once(database: Database) -> None:
    for _ in range(3):
        await database.write(changes.initialise)
    assert await database.read(lambda connection: connection.scalar(select(func.count()).select_from(Change))) == 1


@pytest.mark.parametrize(("text", "place"), [("7", FeedCursor(0, 7)), ("8.7", FeedCursor(8, 7))])
def test_a_place_is_written_as_clients_send_it(text: str, place: FeedCursor) -> None:
    assert str(place) == text


# -- several servers -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction of another server, which the test ends."""
    if url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time, so no transaction overtakes another")
    engine = create_async_engine(parse_url(url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")  # SQLAlchemy begins no transaction before its own first statement
        yield connection
    await engine.dispose()


async def test_what_commits_late_is_told_before_what_overtook_it(database: Database, database_url: str) -> None:
    async with transaction(database_url) as late:
        await late.run_sync(lambda plain: changes.add_queue_changes(WriteConnection(ReadConnection(plain)), ["late"]))
        await tell(database, "early")
        before = await read(database)
        await late.commit()
    after = await read(database)
    assert (names(before), before.waiting) == ([], True)
    assert (names(after), after.waiting) == (["late", "early"], False)


async def test_what_began_early_and_was_numbered_late_is_told_where_it_began(
    database: Database, database_url: str
) -> None:
    async with transaction(database_url) as late:
        await late.execute(select(func.pg_current_xact_id()))
        await tell(database, "early")
        assert names(await read(database)) == []
        await late.run_sync(lambda plain: changes.add_queue_changes(WriteConnection(ReadConnection(plain)), ["late"]))
        await late.commit()
    found = await read(database)
    assert names(found) == ["late", "early"]
    assert [told.cursor.number for told in found.changes] == sorted(
        (told.cursor.number for told in found.changes), reverse=True
    )


async def test_a_reader_loses_and_doubles_nothing_behind_a_late_commit(database: Database, database_url: str) -> None:
    await tell(database, "zero")
    seen = await read(database)
    async with transaction(database_url) as late:
        await late.run_sync(lambda plain: changes.add_queue_changes(WriteConnection(ReadConnection(plain)), ["late"]))
        await tell(database, "early")
        held = await read(database, seen.changes[-1].cursor)
        await late.rollback()
    rest = await read(database, seen.changes[-1].cursor)
    assert (names(held), names(rest)) == ([], ["early"])


async def test_changes_of_transactions_still_to_come_are_taken_out_after_a_restore(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite does not number transactions")
    await tell(database, "of another cluster")
    await database.write(lambda connection: connection.execute(update(Change).values(xact=2**50)))
    assert (await read(database)).waiting
    await database.write(changes.initialise)
    await tell(database, "one")
    assert names(await read(database)) == ["one"]


# -- forgetting ----------------------------------------------------------------------------------------------------


async def age(database: Database, *, keep: int = 0) -> None:
    """Let all changes but the newest be two days old."""

    def work(connection: WriteConnection) -> None:
        newest = select(Change.number).order_by(Change.number.desc()).limit(keep).subquery()
        old = update(Change).where(Change.number.not_in(select(newest.c.number)))
        connection.execute(old.values(at=NOW - timedelta(days=2)))

    await database.write(work)


async def test_what_is_old_goes_and_the_newest_of_it_stays(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagbook.maintenance.change_pruning._BATCH", 3)
    for number in range(10):
        await tell(database, f"q{number}")
    await age(database, keep=2)
    seen = (await read(database)).changes
    assert await ChangePruner(database, DAY, lambda: NOW).run_once() == 7
    assert names(await read(database)) == ["q7", "q8", "q9"]
    kept = await extent(database)
    assert [kept.covers(told.cursor) for told in seen] == [False] * 7 + [True] * 3


@pytest.mark.parametrize("count", [0, 1])
async def test_where_there_is_next_to_nothing_nothing_goes(database: Database, count: int) -> None:
    for number in range(count):
        await tell(database, f"q{number}")
    await age(database)
    assert await ChangePruner(database, DAY, lambda: NOW).run_once() == 0


async def test_several_servers_may_forget_at_once(database: Database) -> None:
    for number in range(10):
        await tell(database, f"q{number}")
    await age(database)
    pruners = [ChangePruner(database, DAY, lambda: NOW) for _ in range(3)]
    removed = [await one.run_once() for one in pruners]
    assert (sum(removed), names(await read(database))) == (9, ["q9"])


async def test_no_statement_goes_through_all_changes(shared_database: Database) -> None:
    found: list[str] = []

    def work(connection: WriteConnection) -> None:
        for number in range(50):
            changes.add_queue_changes(connection, [f"q{number}"])

        def reads(plain: ReadConnection) -> None:
            changes.find_after(plain, FeedCursor(1, 1), 10)
            changes.get_range(plain)
            changes.find_expired(plain, NOW, 10)

        found.append(plans(connection, reads))

    await rehearse(shared_database, work)
    (plan,) = found
    if shared_database.dialect == "sqlite":  # which calls it a scan when it goes along the key until it has enough
        assert "TEMP B-TREE" not in plan
    else:
        assert "changes" not in scanned(plan), plan
