"""What becomes of alerts at the end of a hold, and at the end of their retention."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from dagbook.auth.audit_context import ANONYMOUS
from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import Alert, AlertChannel, AlertDelivery, AlertEvent
from dagbook.db.repositories import holds
from dagbook.db.repositories.alerts import upkeep
from dagbook.db.repositories.holds import HoldRow
from dagbook.db.repositories.invariants.findings import find_broken
from dagbook.maintenance.retention.policies import Defaults, Policies
from dagbook.maintenance.retention.retention import Kept, Retention
from dagbook.runs.recovery.hold import end_hold
from dagbook.spec.reading.definition_cache import DefinitionCache
from tests.db.rows import NOW, add, rehearse
from tests.db.test_alert_constraints import ALERT, CHANNEL, DELIVERY, EVENT
from tests.maintenance.scene import LATER, RUNS, furnish

DAY = timedelta(days=1)


def rows(connection: WriteConnection, *columns: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0]))]


async def test_the_end_of_a_hold_ends_what_the_original_tells(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        furnish(connection)
        holds.add(connection, HoldRow(held_at=NOW, held_by=None, origin="backup"))
        channel = add(connection, AlertChannel, **(CHANNEL | {"name": "x", "failing_since": NOW, "next_try_at": NOW}))
        alert = add(connection, Alert, **(ALERT | {"opened_at": LATER + 999 * DAY, "last_at": LATER}))
        lease = {"lease_owner": "gone", "lease_until": LATER}
        add(connection, AlertDelivery, **(DELIVERY | {"id": "d2"} | lease), alert_id=alert, channel_id=channel)
        add(connection, AlertEvent, **(EVENT | {"key": "unrouted"}))
        state = end_hold(connection, ANONYMOUS, LATER)
        assert (state.dropped, state.closed) == (1, 1)
        # Also of the run that had not finished in the backup, which fails now and is not told.
        assert dict(rows(connection, AlertEvent.key, AlertEvent.outcome)) == {
            "run/4/1": "opened",
            "unrouted": "restored",
            f"run/{RUNS}/1": "restored",
        }
        dropped = (AlertDelivery.id, AlertDelivery.status, AlertDelivery.reason, AlertDelivery.lease_owner)
        assert rows(connection, *dropped) == [("d1", "sent", None, None), ("d2", "dropped", "restored", None)]
        assert rows(connection, AlertChannel.failing_since)[-1] == (None,)
        names = [finding.name for finding in find_broken(connection, LATER, DAY) if finding.count]
        assert names == []

    await rehearse(shared_database, work)


def old(connection: WriteConnection, name: str, status: str = "sent", **alert: Any) -> None:
    """Store an alert about a subject that ended long ago, with a message."""
    times = {"opened_at": NOW - 99 * DAY, "last_at": NOW - 99 * DAY, "closed_at": NOW - 99 * DAY}
    key = add(connection, Alert, **(ALERT | times | {"subject": name} | alert))
    at = NOW - 99 * DAY
    values = {"id": name, "status": status, "sent_at": at if status == "sent" else None, "created_at": at, "due_at": at}
    add(connection, AlertDelivery, **(DELIVERY | values), alert_id=key)


async def test_past_alerts_go_and_what_is_open_or_pending_stays(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        for name in ("past", "past too", "past three"):
            old(connection, name)
        old(connection, "dropped", "dropped")
        old(connection, "open", closed_at=None)
        old(connection, "pending", "pending")
        old(connection, "young", closed_at=NOW)
        loose = {"created_at": NOW - 99 * DAY, "due_at": NOW - 99 * DAY}
        for status in ("failed", "pending"):
            add(connection, AlertDelivery, **(DELIVERY | loose | {"id": f"loose {status}", "status": status}))
        long_ago, recently = NOW - 99 * DAY, NOW - 9 * DAY
        for key, routed in (("e1", long_ago), ("e2", recently), ("e3", None)):
            values = {"key": key, "at": long_ago, "routed_at": routed, "outcome": routed and "opened"}
            add(connection, AlertEvent, **(EVENT | values))
        removed = []
        while number := upkeep.remove_past(connection, NOW - 90 * DAY, 2):
            removed.append(number)
        assert removed == [4, 2]
        left = ["open", "pending", "young"]
        assert [subject for (subject,) in rows(connection, Alert.subject)] == left
        assert [key for (key,) in rows(connection, AlertDelivery.id)] == sorted([*left, "loose pending"])
        assert [key for (key,) in rows(connection, AlertEvent.key)] == ["e2", "e3"]

    await rehearse(shared_database, work)


@pytest.mark.parametrize(("days", "left"), [(90, 0), (100, 1), (0, 1)])
async def test_the_retention_removes_alerts_after_their_days(database: Database, days: int, left: int) -> None:
    await database.write(lambda connection: old(connection, "past"))
    policies = Policies(database, DefinitionCache(), lambda: "", Defaults())
    retention = Retention(database, policies, lambda: NOW, 3600, kept=Kept(alerts=timedelta(days=days)))
    await retention.run_once()
    assert len(await database.write(lambda connection: rows(connection, Alert.id))) == left
