"""What the database itself refuses about alerts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import Conflict
from dagbook.db.models import Alert, AlertChannel, AlertDelivery, AlertEvent, AlertRule, AlertTarget
from tests.db.rows import NOW, add, add_definition, add_run, rehearse, run_sql

CHANNEL = {
    "name": "ops",
    "type": "slack",
    "settings": {},
    "enabled": True,
    "shared": False,
    "configured": False,
    "interval_seconds": 60,
}
RULE = {
    "name": "all",
    "match": ["*"],
    "kinds": ["failed"],
    "after": 1,
    "remind_seconds": 0,
    "enabled": True,
    "configured": False,
    "tells_success": False,
    "created_at": NOW,
}
EVENT = {"key": "run/1/1", "at": NOW, "kind": "failed", "subject_kind": "dag", "subject": "etl", "data": {}}
ALERT = {
    "kind": "failed",
    "subject_kind": "dag",
    "subject": "etl",
    "opened_at": NOW,
    "last_at": NOW,
    "count": 1,
    "data": {},
}
DELIVERY = {
    "id": "d1",
    "channel": "ops",
    "type": "slack",
    "purpose": "opened",
    "number": 0,
    "created_at": NOW,
    "due_at": NOW,
    "status": "pending",
    "attempts": [],
}
Rows = Callable[[WriteConnection], Any]


def twice(model: type[Any], row: dict[str, Any], **second: Any) -> Rows:
    def work(connection: WriteConnection) -> None:
        add(connection, model, **row)
        add(connection, model, **(row | second))

    return work


def once(model: type[Any], row: dict[str, Any], **values: Any) -> Rows:
    return lambda connection: add(connection, model, **(row | values))


def changed(table: str, assignment: str, model: type[Any], row: dict[str, Any]) -> Rows:
    def work(connection: WriteConnection) -> None:
        add(connection, model, **row)
        run_sql(connection, f"UPDATE {table} SET {assignment}")  # noqa: S608 - of this module

    return work


def used_channel(connection: WriteConnection) -> None:
    channel, rule = add(connection, AlertChannel, **CHANNEL), add(connection, AlertRule, **RULE)
    add(connection, AlertTarget, rule_id=rule, channel_id=channel, delay_seconds=0)
    run_sql(connection, "DELETE FROM alert_channels")


def told_twice(connection: WriteConnection) -> None:
    channel, alert = add(connection, AlertChannel, **CHANNEL), add(connection, Alert, **ALERT)
    for number in (1, 2):
        add(connection, AlertDelivery, **(DELIVERY | {"id": f"d{number}", "alert_id": alert, "channel_id": channel}))


@pytest.mark.parametrize(
    "work",
    [
        once(AlertChannel, CHANNEL, type="pigeon"),
        once(AlertChannel, CHANNEL, name=""),
        once(AlertChannel, CHANNEL, every_seconds=60),
        once(AlertChannel, CHANNEL, sealed_before=b"x"),
        twice(AlertChannel, CHANNEL),
        once(AlertRule, RULE, after=0),
        twice(AlertRule, RULE),
        used_channel,
        twice(AlertEvent, EVENT),
        once(AlertEvent, EVENT, kind="other"),
        once(AlertEvent, EVENT, routed_at=NOW),
        changed("alert_events", "subject = 'other'", AlertEvent, EVENT),
        changed("alert_events", "data = '1'", AlertEvent, EVENT),
        changed("alert_events", "outcome = 'again'", AlertEvent, EVENT | {"routed_at": NOW, "outcome": "opened"}),
        twice(Alert, ALERT),
        once(Alert, ALERT, closed_at=NOW - timedelta(seconds=1)),
        once(AlertDelivery, DELIVERY, status="sent"),
        once(AlertDelivery, DELIVERY, lease_owner="a"),
        once(AlertDelivery, DELIVERY, purpose="run_mail"),
        changed("alert_deliveries", "status = 'pending'", AlertDelivery, DELIVERY | {"status": "failed"}),
        changed("alert_deliveries", "status = 'dropped'", AlertDelivery, DELIVERY | {"status": "failed"}),
        told_twice,
    ],
)
async def test_what_must_not_be_is_refused(database: Database, work: Rows) -> None:
    with pytest.raises(Conflict):
        await database.write(work)


@pytest.mark.parametrize(
    "work",
    [
        twice(Alert, ALERT | {"closed_at": NOW}),
        twice(Alert, ALERT, kind="partial"),
        changed("alert_events", "routed_at = at, outcome = 'opened'", AlertEvent, EVENT),
        changed("alert_deliveries", "status = 'failed'", AlertDelivery, DELIVERY),
        changed("alert_deliveries", "status = 'pending', resends = 1", AlertDelivery, DELIVERY | {"status": "failed"}),
    ],
)
async def test_what_may_be_is_done(database: Database, work: Rows) -> None:
    await rehearse(database, work)


async def test_what_is_about_a_run_outlives_it(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        run = add_run(connection)
        add(connection, AlertEvent, **(EVENT | {"run_id": run, "attempt": 1}))
        add(connection, Alert, **(ALERT | {"last_run_id": run}))
        add(connection, AlertDelivery, **(DELIVERY | {"run_id": run}))
        run_sql(connection, "DELETE FROM runs")
        for table in ("alert_events", "alerts", "alert_deliveries"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 1  # noqa: S608

    await rehearse(database, work)
