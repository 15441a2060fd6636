"""What the database itself refuses about triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.models import Trigger, TriggerEvent, TriggerItem
from tests.db.rows import NOW, add, add_dag, add_definition, add_run, rehearse, run_sql

TRIGGER = {
    "name": "push",
    "kind": "webhook",
    "scheme": "github",
    "settings": {},
    "params": {},
    "filters": [],
    "queue": "",
    "priority": 0,
    "per_minute": 1,
    "max_bytes": 1,
    "max_waiting": 1,
    "collapse": False,
    "created_at": NOW,
}
EVENT = {"id": "e1", "key": "k1", "state": "waiting", "received_at": NOW, "headers": {}}
SETTLED = {"state": "dead", "settled_at": NOW}
Rows = Callable[[WriteConnection], Any]


def trigger(**values: Any) -> Rows:
    return lambda connection: add(connection, Trigger, **(TRIGGER | values))


def events(*rows: dict[str, Any], then: str = "") -> Rows:
    """Add a trigger with a run and with events, then change these."""

    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        run, key = add_run(connection), add(connection, Trigger, **TRIGGER)
        for row in rows:
            of_run = {"run_id": run} if "run_id" in row else {}
            add(connection, TriggerEvent, **(EVENT | {"trigger_id": key} | row | of_run))
        if then:
            run_sql(connection, f"UPDATE trigger_events SET {then}", run=run)  # noqa: S608 - of this module

    return work


def follows(**values: Any) -> Rows:
    """Add a trigger that follows a DAG."""

    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        trigger(upstream_id=add_dag(connection), **values)(connection)

    return work


def twice(connection: WriteConnection) -> None:
    trigger()(connection)
    trigger()(connection)


STARTED = "state = 'started', settled_at = received_at, run_id = :run"


@pytest.mark.parametrize(
    "work",
    [
        twice,
        trigger(name=""),
        trigger(kind="pigeon"),
        trigger(scheme="sha1"),
        trigger(scheme=None),
        trigger(kind="files"),
        trigger(every_seconds=60),
        trigger(kind="files", scheme=None, every_seconds=9),
        trigger(sealed_before=b"x"),
        trigger(paused_by="x"),
        follows(),
        trigger(per_minute=0),
        events({"state": "lost"}),
        events({"state": "dead"}),
        events({"settled_at": NOW}),
        events({"run_id": None}),
        events({"duplicates": -1}),
        events({}, {"id": "e2"}),
        events({"body_hash": b"h"}, {"id": "e2", "key": "k2", "body_hash": b"h"}),
        events({}, then="key = 'other'"),
        events({"body": b"a", "body_hash": b"h"}, then="body = body_hash"),
        events({}, then="state = 'filtered', settled_at = received_at"),
        events({}, then="state = 'replayed', settled_at = received_at"),
        events(SETTLED, then="state = 'waiting', settled_at = NULL"),
        events(SETTLED, then=STARTED),
        events(SETTLED | {"state": "started"}, then="run_id = :run"),
        events(SETTLED | {"state": "discarded"}, then="state = 'replayed'"),
    ],
)
async def test_what_must_not_be_is_refused(database: Database, work: Rows) -> None:
    with pytest.raises(Conflict):
        await database.write(work)


@pytest.mark.parametrize(
    "work",
    [
        trigger(kind="files", scheme=None, every_seconds=10),
        follows(kind="after", scheme=None),
        events({}, {"id": "e2", "key": "k2"}),
        events({"body_hash": None}, {"id": "e2", "key": "k2", "body_hash": None}),
        events({}, then=STARTED),
        events({}, then="state = 'superseded', settled_at = received_at"),
        events({}, then="state = 'discarded', settled_at = received_at"),
        events(SETTLED, then="state = 'discarded'"),
        events(SETTLED, then="state = 'replayed', replays = 1"),
        events({"body": b"a"}, then="body = NULL, duplicates = 7"),
    ],
)
async def test_what_may_be_is_done(database: Database, work: Rows) -> None:
    await rehearse(database, work)


async def test_a_trigger_outlives_its_dag_and_an_event_its_run_and_both_go_with_the_trigger(
    database: Database,
) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        dag, run = add_dag(connection), add_run(connection)
        key = add(connection, Trigger, **(TRIGGER | {"dag_id": dag}))
        row = EVENT | {"trigger_id": key, "state": "started", "settled_at": NOW, "run_id": run}
        event = add(connection, TriggerEvent, **row)
        item = {"path": "a", "fingerprint": "1", "stable_since": NOW, "generation": 1, "event_id": event}
        add(connection, TriggerItem, trigger_id=key, **item)
        run_sql(connection, "DELETE FROM dags")
        run_sql(connection, "DELETE FROM runs")
        found = connection.exec_driver_sql(
            "SELECT dag_id, run_id, event_id FROM triggers t JOIN trigger_events e ON e.trigger_id = t.id "
            "JOIN trigger_items i ON i.trigger_id = t.id"
        ).one()
        assert tuple(found) == (None, None, "e1")
        run_sql(connection, "DELETE FROM triggers")
        for table in ("trigger_events", "trigger_items"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0  # noqa: S608

    await rehearse(database, work)
