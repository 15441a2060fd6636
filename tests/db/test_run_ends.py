"""Which ends of runs and approvals leave an event for alerts."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from dagbook.db.database import ALERTS, Database, WriteConnection
from dagbook.db.models import Alert, AlertEvent, AlertRule
from dagbook.db.repositories.runs import run_ends
from dagbook.db.repositories.runs.run_ends import RunEnd
from dagbook.db.repositories.runs.run_rows import NewApproval
from dagbook.db.repositories.runs.run_writes import Fence, Transition
from dagbook.engine.status import RunStatus
from tests.db.rows import NOW, add, add_definition, add_run, rehearse
from tests.db.test_alert_constraints import ALERT, EVENT, RULE

FAILED, SUCCEEDED = RunStatus.FAILED, RunStatus.SUCCEEDED


def found(connection: WriteConnection) -> list[tuple[Any, ...]]:
    columns = (AlertEvent.key, AlertEvent.kind, AlertEvent.subject, AlertEvent.attempt, AlertEvent.data)
    return [tuple(row) for row in connection.execute(select(*columns).order_by(AlertEvent.id))]


def end(connection: WriteConnection, status: RunStatus, error: str = "", **run: Any) -> int:
    if "root_id" not in run:
        add_definition(connection)
    key = add_run(connection, **run)
    forced(connection, key, status, error)
    return key


def forced(connection: WriteConnection, key: int, status: RunStatus, error: str = "", attempt: int = 1) -> None:
    run_ends.add_forced(connection, RunEnd(fence=Fence(key, attempt, 1), status=status, errors=error, at=NOW))


async def test_the_end_of_a_root_run_is_an_event_once(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add(connection, AlertRule, **RULE)
        key = end(connection, FAILED, "exit status 1\nthe end of its output")
        forced(connection, key, FAILED, "again")
        assert found(connection) == [(f"run/{key}/1", "failed", "etl", 1, {"error": "exit status 1"})]
        forced(connection, key, RunStatus.ABORTED, "x" * 999, attempt=2)
        assert found(connection)[1][1:] == ("aborted", "etl", 2, {"error": "x" * 300})
        child = add_run(connection, run_id="two", root_id=key, parent_id=key)
        forced(connection, child, FAILED)
        assert len(found(connection)) == 2

    await rehearse(database, work)


@pytest.mark.parametrize(
    ("rule", "others", "events"),
    [
        (None, (), 0),
        ({"enabled": False}, (), 0),
        ({}, (), 0),
        ({"tells_success": True}, (), 1),
        ({}, ((Alert, ALERT),), 1),
        ({}, ((Alert, ALERT | {"closed_at": NOW}),), 0),
        ({}, ((Alert, ALERT | {"subject": "other"}),), 0),
        ({}, ((AlertEvent, EVENT | {"key": "x"}),), 1),
        ({}, ((AlertEvent, EVENT | {"key": "x", "subject": "other"}),), 0),
        ({}, ((AlertEvent, EVENT | {"key": "x", "routed_at": NOW, "outcome": "opened"}),), 0),
    ],
)
async def test_a_success_is_one_where_something_is_open_or_a_rule_tells_of_it(
    database: Database, rule: dict[str, Any] | None, others: tuple[tuple[Any, dict[str, Any]], ...], events: int
) -> None:
    def work(connection: WriteConnection) -> None:
        if rule is not None:
            add(connection, AlertRule, **(RULE | rule))
        for model, row in others:
            add(connection, model, **row)
        end(connection, SUCCEEDED)
        assert len([key for key, *_ in found(connection) if key.startswith("run/")]) == events
        assert (ALERTS in connection.info.get("changed", ())) is (events > 0)  # what servers look for after the commit

    await rehearse(database, work)


async def test_what_a_step_of_a_sub_run_asks_is_about_the_root(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add(connection, AlertRule, **RULE)
        add_definition(connection)
        root = add_run(connection)
        child = add_run(connection, dag_name="kid", run_id="two", root_id=root, parent_id=root)
        asked = NewApproval(run_id=child, attempt=1, position=0, asked_at=NOW, request={"prompt": "May it?\nReally?"})
        transition = Transition(fence=Fence(child, 1, 1), approvals=[asked])
        run_ends.add(connection, [transition, transition])
        assert found(connection) == [(f"wait/{child}/1/0/1", "waiting", "etl", 1, {"error": "May it?"})]

    await rehearse(database, work)
