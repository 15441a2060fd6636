"""Which ends of runs leave events of the triggers that follow their DAG."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import Trigger, TriggerEvent
from dagbook.db.repositories.runs.run_ends import RunEnd
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.triggers import upstream_ends
from dagbook.engine.status import RunStatus
from tests.db.rows import NOW, add, add_dag, add_definition, add_run, rehearse
from tests.db.test_trigger_constraints import EVENT, TRIGGER

FAILED, SUCCEEDED = RunStatus.FAILED, RunStatus.SUCCEEDED
STORED = {"file_name": "etl", "dag_name": "nightly"}


def follow(connection: WriteConnection, *on: str, name: str = "report", **values: Any) -> int:
    """Add a trigger that follows the DAG ``etl``, which is there after the first one."""
    if "upstream_id" not in values:
        add_definition(connection)
        values["upstream_id"] = add_dag(connection)
    row = TRIGGER | {"name": name, "kind": "after", "scheme": None, "settings": {"on": list(on)}}
    return int(add(connection, Trigger, **(row | values)))


def end(connection: WriteConnection, run: int, status: RunStatus, attempt: int = 1) -> None:
    upstream_ends.add(connection, [RunEnd(fence=Fence(run, attempt, 1), status=status, errors="", at=NOW)])


def found(connection: WriteConnection) -> list[tuple[Any, ...]]:
    columns = (TriggerEvent.trigger_id, TriggerEvent.key, TriggerEvent.depth, TriggerEvent.item)
    return [
        tuple(row) for row in connection.execute(select(*columns).order_by(TriggerEvent.key, TriggerEvent.trigger_id))
    ]


async def test_the_end_of_a_root_run_is_one_event_of_each_trigger_that_follows_such_ends(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        both = follow(connection, "failed", "succeeded")
        upstream = connection.scalar(select(Trigger.upstream_id))
        good = follow(connection, "succeeded", name="good", upstream_id=upstream)
        run = add_run(connection, **STORED)
        for _ in range(2):
            end(connection, run, FAILED)
        item = {"dag": "nightly", "dagRunId": "one", "attempt": 1, "status": "failed"}
        assert found(connection) == [(both, f"run/{run}/1", 1, item)]
        end(connection, run, SUCCEEDED, attempt=2)
        assert [(trigger, key) for trigger, key, *_ in found(connection)[1:]] == [
            (both, f"run/{run}/2"),
            (good, f"run/{run}/2"),
        ]

    await rehearse(database, work)


@pytest.mark.parametrize(
    "run",
    [
        {"file_name": None},
        {"file_name": "other"},
        {"root_id": "one", "parent_id": "one"},
    ],
)
async def test_runs_of_other_dags_and_of_texts_and_sub_runs_are_not_followed(
    database: Database, run: dict[str, Any]
) -> None:
    def work(connection: WriteConnection) -> None:
        follow(connection, "succeeded")
        root = add_run(connection, run_id="root")
        of_root = {name: root if value == "one" else value for name, value in run.items()}
        end(connection, add_run(connection, **(STORED | of_root)), SUCCEEDED)
        assert found(connection) == []

    await rehearse(database, work)


async def test_an_event_counts_the_runs_that_have_started_one_another(database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        key, run = follow(connection, "succeeded"), add_run(connection, **STORED)
        before = EVENT | {"trigger_id": key, "state": "started", "settled_at": NOW, "run_id": run, "depth": 7}
        add(connection, TriggerEvent, **before)
        end(connection, run, SUCCEEDED)
        assert [depth for _, name, depth, _ in found(connection) if name != before["key"]] == [8]

    await rehearse(database, work)
