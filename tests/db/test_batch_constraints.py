"""What the database itself refuses about batches, and which of their items may begin in a commit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.migrations.check import check
from dagbook.db.migrations.upgrade import downgrade, upgrade
from dagbook.db.models import Batch, BatchItem
from dagbook.db.repositories.batches import batches, items, turns
from dagbook.db.repositories.batches.turns import ItemKey, Turns
from dagbook.engine.status import RunStatus
from tests.db.rows import NOW, add, add_definition, add_run, bring_run_to, rehearse, run_sql
from tests.db.test_migrations import run_in

BATCH = {
    "action": "start",
    "dag_id": 7,
    "filter": {},
    "params": {},
    "revision": "current",
    "parallel": 1,
    "item_order": "oldest",
    "on_failure": "continue",
    "actor": {},
    "created_at": NOW,
}
Rows = Callable[[WriteConnection], Any]


def batch(**values: Any) -> Rows:
    return lambda connection: add(connection, Batch, **(BATCH | values))


def add_items(connection: WriteConnection, *rows: dict[str, Any], **of_batch: Any) -> int:
    """Add a batch with items at consecutive minutes; returns its id."""
    key: int = add(connection, Batch, **(BATCH | of_batch))
    for place, row in enumerate(rows, 1):
        minute = NOW + timedelta(minutes=place)
        usual = {"batch_id": key, "place": place, "dag_id": 7, "minute": minute, "zone": "UTC", "state": "planned"}
        add(connection, BatchItem, **(usual | row))
    return key


def two_batches(state: str, other: str) -> Rows:
    def work(connection: WriteConnection) -> None:
        add_items(connection, {"state": state})
        add_items(connection, {"state": other})

    return work


@pytest.mark.parametrize(
    ("rows", "constraint"),
    [
        (batch(action="burn"), "action_known"),
        (batch(parallel=0), "parallel_known"),
        (batch(parallel=101), "parallel_known"),
        (batch(item_order="random"), "order_known"),
        (batch(on_failure="ask"), "on_failure_known"),
        (batch(paused_by="ann"), "paused_at_a_time"),
        (batch(paused_why="it failed"), "paused_at_a_time"),
        (batch(cancelled_by="ann"), "cancelled_at_a_time"),
        (lambda connection: add_items(connection, {"state": "lost"}), "state_known"),
        (lambda connection: add_items(connection, {"place": 0}), "place_from_one"),
        (lambda connection: add_items(connection, {"zone": None}), "zone_of_minute"),
        (lambda connection: add_items(connection, {"minute": NOW}, {"minute": NOW, "state": "done"}), "minute"),
        (two_batches("planned", "begun"), "held|minute"),
        (two_batches("planned", "planned"), "held|minute"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused(database: Database, rows: Rows, constraint: str) -> None:
    with pytest.raises(Conflict, match=constraint):
        await database.write(rows)


async def test_a_time_is_free_again_when_the_item_that_had_it_has_settled(database: Database) -> None:
    for state in ("done", "failed", "left_out"):
        await rehearse(database, two_batches(state, "planned"))


async def test_an_item_outlives_its_runs_and_goes_with_its_batch(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        run, source = add_run(connection), add_run(connection, run_id="another")
        add_items(connection, {"state": "begun", "run_id": run, "source_run": source, "attempt": 1})
        run_sql(connection, "DELETE FROM runs")
        assert tuple(connection.execute(select(BatchItem.run_id, BatchItem.source_run)).one()) == (None, None)
        run_sql(connection, "DELETE FROM batches")
        assert connection.scalar(select(BatchItem.place)) is None

    await rehearse(database, work)


async def test_planned_items_may_begin_as_far_as_their_open_batch_has_room(database: Database) -> None:
    """A run that waits takes room, and one that has finished until its item is settled: the batch may stop there."""

    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        waiting = add_run(connection, run_id="waiting", status=RunStatus.QUEUED)
        finished = add_run(connection, run_id="finished")
        bring_run_to(connection, finished, RunStatus.FAILED)
        begun = [{"state": "begun", "run_id": run} for run in (waiting, finished)]
        first = add_items(connection, *begun, {}, {}, {}, {"state": "failed"}, parallel=4)
        paused = add_items(connection, {"minute": NOW}, paused_at=NOW)
        keys = [ItemKey(first, place) for place in range(1, 7)]
        found = Turns(connection, [*keys, ItemKey(paused, 1), None])
        allowed = []
        for key in [*keys, ItemKey(paused, 1)]:
            if found.may_begin(key):
                found.take(key)
                allowed.append(key)
        assert allowed == [ItemKey(first, 3), ItemKey(first, 4)]
        assert not found.may_begin(ItemKey(first, 3))
        turns.begin(connection, {allowed[0]: (waiting, 2)})
        (row,) = items.find_page(connection, first, 2, 1)
        assert (row.state, row.run_name) == ("begun", "waiting")

    await rehearse(database, work)


async def test_the_tables_of_batches_go_and_come_with_rows_inside(empty_url: str) -> None:
    await upgrade(empty_url)

    def work(connection: WriteConnection) -> None:
        add_items(connection, {}, {"state": "done"})

    await run_in(empty_url, work)
    await downgrade(empty_url, "0120")
    await upgrade(empty_url)
    assert await check(empty_url) == []


async def test_after_a_restore_no_open_batch_goes_on_by_itself(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        going_on, ended = add_items(connection, {}), add_items(connection, {"state": "done"}, ended_at=NOW)
        paused = add_items(connection, {"minute": NOW}, paused_at=NOW, paused_by="ann")
        batches.pause_open(connection, "the database was restored", NOW + timedelta(days=1))
        rows = [batches.get(connection, key) for key in (going_on, ended, paused)]
        found = [row and (row.paused_why, row.paused_by, row.paused_at is not None) for row in rows]
        assert found == [("the database was restored", None, True), (None, None, False), (None, "ann", True)]

    await rehearse(database, work)
