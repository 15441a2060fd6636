"""What the database itself refuses about the times of schedules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from dagbook.db.database import Database, WriteConnection
from dagbook.db.models import DagSetting, ScheduleMark, ScheduleSlot
from dagbook.db.repositories import schedules
from dagbook.db.repositories.accounts.dag_access import EVERYTHING
from dagbook.db.repositories.schedules import SettingRow, Slot, SlotKey, SlotOutcome
from dagbook.db.types import SlotResult
from tests.db.rows import NOW, add, add_dag, add_definition, add_run, add_slot, rehearse, run_sql

MINUTE = NOW.replace(second=0, microsecond=0)


def with_run(connection: WriteConnection) -> tuple[int, int]:
    add_definition(connection)
    return add_dag(connection), add_run(connection)


async def test_a_time_of_a_schedule_is_there_once(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        dag, _ = with_run(connection)
        add_slot(connection, dag)
        add_slot(connection, dag, kind="stop", outcome="stopped")
        add_slot(connection, dag, minute=MINUTE + timedelta(minutes=1))
        with pytest.raises(IntegrityError):
            add_slot(connection, dag, outcome="skipped")

    await rehearse(shared_database, work)


async def test_a_run_is_started_for_one_time(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        dag, run = with_run(connection)
        add_slot(connection, dag, run_id=run)
        with pytest.raises(IntegrityError):
            add_slot(connection, dag, minute=MINUTE + timedelta(minutes=1), run_id=run)

    await rehearse(shared_database, work)


@pytest.mark.parametrize(
    "values",
    [{"kind": "pause"}, {"outcome": "lost"}, {"outcome": "skipped", "run_id": 0}, {"run_id": -1}],
)
async def test_a_time_that_makes_no_sense_is_refused(shared_database: Database, values: dict[str, Any]) -> None:
    def work(connection: WriteConnection) -> None:
        dag, run = with_run(connection)
        known = {"run_id": run} if values.get("run_id") == 0 else {}
        with pytest.raises(IntegrityError):
            add_slot(connection, dag, **(values | known))

    await rehearse(shared_database, work)


@pytest.mark.parametrize("values", [{"catchup": "some"}, {"catchup_window_seconds": 0}, {"dag_id": -1}])
async def test_a_setting_that_makes_no_sense_is_refused(shared_database: Database, values: dict[str, Any]) -> None:
    def work(connection: WriteConnection) -> None:
        dag, _ = with_run(connection)
        row = {"dag_id": dag, "catchup": "all", "catchup_window_seconds": 60, "updated_at": NOW}
        with pytest.raises(IntegrityError):
            add(connection, DagSetting, **(row | values))

    await rehearse(shared_database, work)


async def test_there_is_one_mark(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        schedules.set_mark(connection, MINUTE)
        schedules.set_mark(connection, MINUTE - timedelta(hours=1))
        assert schedules.get_mark(connection) == MINUTE - timedelta(hours=1)
        with pytest.raises(IntegrityError):
            add(connection, ScheduleMark, id=2, minute=MINUTE)

    await rehearse(shared_database, work)


async def test_settings_go_with_their_dag_and_slots_stay(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        dag, run = with_run(connection)
        add_slot(connection, dag, run_id=run)
        row = SettingRow(dag_id=dag, catchup="all", catchup_window_seconds=60, updated_at=NOW, updated_by=None)
        schedules.put_setting(connection, row)
        run_sql(connection, "DELETE FROM dags")
        run_sql(connection, "DELETE FROM runs")
        assert schedules.get_setting(connection, dag) is None
        assert schedules.count(connection, None, "etl", EVERYTHING) == 1

    await rehearse(shared_database, work)


def settled(dag: int, number: int, outcome: SlotResult = "skipped", **values: Any) -> SlotOutcome:
    key = SlotKey(dag, "restart" if outcome.startswith("restart") else "start", MINUTE + timedelta(minutes=number))
    return SlotOutcome(
        Slot(key=key, file_name="etl", awaiting_restart=values.pop("pending", False)), outcome, NOW, **values
    )


async def test_notes_leave_alone_what_somebody_else_has_seen_to(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        dag, _ = with_run(connection)
        add_slot(connection, dag)
        schedules.skip(connection, [settled(dag, number) for number in (2, 0, 1)])
        found = schedules.find_outcomes(connection, [settled(dag, number).slot.key for number in range(4)])
        assert [found[key] for key in sorted(found)] == ["started", "skipped", "skipped"]
        assert not schedules.claim(connection, settled(dag, 1))
        assert schedules.claim(connection, settled(dag, 3))

    await rehearse(shared_database, work)


async def test_a_restart_is_finished_once(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        dag, run = with_run(connection)
        schedules.claim(connection, settled(dag, 0, "restarting", restarts=run))
        assert [row.restarts for row in schedules.find_restarting(connection)] == [run]
        schedules.complete(connection, [settled(dag, 0, "restarted", run=run, pending=True)])
        schedules.finish(connection, settled(dag, 0, "failed", reason="too late", pending=True))
        assert schedules.find_restarting(connection) == []
        rows = connection.execute(select(ScheduleSlot.outcome, ScheduleSlot.run_id)).all()
        assert [tuple(row) for row in rows] == [("restarted", run)]

    await rehearse(shared_database, work)


async def test_old_slots_go_but_for_restarts_under_way(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        dag, run = with_run(connection)
        schedules.skip(connection, [settled(dag, number) for number in range(3)])
        schedules.claim(connection, settled(dag, 0, "restarting", restarts=run))
        schedules.remove_before(connection, MINUTE + timedelta(minutes=2))
        assert connection.execute(select(func.count()).select_from(ScheduleSlot)).scalar() == 2

    await rehearse(shared_database, work)
