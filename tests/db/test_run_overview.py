"""The overview of all DAGs reads the same on both engines, from indexes, and what the caller sees alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest

from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.models import Approval, QueueEntry
from dagbook.db.repositories import schedules
from dagbook.db.repositories.runs import run_overview
from dagbook.db.repositories.runs.run_history import QUARTER_SECONDS, CountedRuns
from dagbook.db.repositories.runs.run_overview import FailureRow, LaterRuns, QueuedRuns, QueueWait, RunWindow
from dagbook.db.types import Base
from dagbook.engine.status import RunStatus
from tests.db.plans import plans, scanned
from tests.db.rows import (
    NOW,
    add,
    add_attempt,
    add_dag,
    add_definition,
    add_node,
    add_run,
    add_slot,
    bring_run_to,
    rehearse,
    run_sql,
)

HOUR = timedelta(hours=1)
QUARTER = int(NOW.timestamp()) // QUARTER_SECONDS


def _window(names: Sequence[str] | None = None, hours: float = 24) -> RunWindow:
    return RunWindow(since=NOW - hours * HOUR, before=NOW + HOUR, names=names)


def _add(connection: WriteConnection, run_id: str, status: RunStatus, at: datetime = NOW, **values: object) -> int:
    begin = 5 if status is RunStatus.QUEUED else 0
    key = add_run(connection, run_id=run_id, created_at=at, status=begin, **values)
    add_attempt(connection, key)
    bring_run_to(connection, key, status)
    return key


def _fail(connection: WriteConnection, run_id: str, at: datetime, error: str, position: int | None = 0) -> int:
    key = _add(connection, run_id, RunStatus.FAILED, at, error=error)
    state = "{}" if position is None else f'{{"error_key":{position}}}'
    run_sql(connection, "UPDATE run_attempts SET state = :state WHERE run_id = :id", state=state, id=key)
    return key


async def test_runs_are_counted_by_status_and_quarter(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for number in range(3):
            _add(connection, f"good{number}", RunStatus.SUCCEEDED)
        _add(connection, "other", RunStatus.SUCCEEDED, NOW - HOUR, dag_name="other")
        _add(connection, "old", RunStatus.SUCCEEDED, NOW - 25 * HOUR)
        asking = _add(connection, "asking", RunStatus.RUNNING)
        add_node(connection, asking)
        run_sql(connection, "UPDATE nodes SET status = 1")
        add(connection, Approval, run_id=asking, attempt=1, position=0, asked_at=NOW, request={})
        everything = [
            CountedRuns(QUARTER - 4, RunStatus.SUCCEEDED, 1),
            CountedRuns(QUARTER, RunStatus.RUNNING, 1),
            CountedRuns(QUARTER, RunStatus.SUCCEEDED, 3),
        ]
        assert sorted(run_overview.count_by_quarter(connection, _window())) == everything
        assert sorted(run_overview.count_by_quarter(connection, _window(["etl"]))) == everything[1:]
        assert run_overview.count_by_quarter(connection, _window([])) == []
        assert run_overview.count_waiting(connection, _window()) == [CountedRuns(QUARTER, RunStatus.RUNNING, 1)]
        assert run_overview.count_waiting(connection, _window(["other"])) == []

    await rehearse(shared_database, work)


async def test_counts_begin_later_when_there_are_too_many_runs(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_overview, "MAX_COUNTED", 2)

    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for number in range(4):
            _add(connection, f"r{number}", RunStatus.SUCCEEDED, NOW - number * HOUR)
        assert run_overview.find_count_start(connection, _window()) == NOW - 2 * HOUR
        assert run_overview.find_count_start(connection, _window(["other"])) is None

    await rehearse(shared_database, work)


async def test_equal_failures_of_a_node_are_one_row(shared_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        first = _fail(connection, "a", NOW - 3 * HOUR, "exit status 3")
        last = _fail(connection, "b", NOW - HOUR, "exit status 3")
        step = _fail(connection, "c", NOW - 2 * HOUR, "exit status 3", position=1)
        run = _fail(connection, "d", NOW, "no secret", position=None)
        assert first < last
        found = run_overview.find_failures(connection, _window())
        assert sorted(found, key=lambda row: row.newest) == [
            FailureRow(dag_name="etl", position=0, error="exit status 3", runs=2, first_at=NOW - 3 * HOUR, newest=last),
            FailureRow(dag_name="etl", position=1, error="exit status 3", runs=1, first_at=NOW - 2 * HOUR, newest=step),
            FailureRow(dag_name="etl", position=None, error="no secret", runs=1, first_at=NOW, newest=run),
        ]
        assert run_overview.find_failures(connection, _window(["other"])) == []
        assert [row.newest for row in run_overview.find_failures(connection, _window(hours=0.5))] == [run]
        monkeypatch.setattr(run_overview, "MAX_FAILURES", 2)
        assert {row.newest for row in run_overview.find_failures(connection, _window())} == {last, run}

    await rehearse(shared_database, work)


async def test_the_newest_and_the_newest_good_run_are_those_of_the_dag(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        good = _add(connection, "good", RunStatus.PARTIALLY_SUCCEEDED, NOW - 3 * HOUR)
        failed = _fail(connection, "failed", NOW - 2 * HOUR, "x")
        latest = _add(connection, "latest", RunStatus.RUNNING, NOW - HOUR)
        other = _add(connection, "other", RunStatus.FAILED, dag_name="other")
        assert run_overview.find_later(connection, [failed, other]) == {
            failed: LaterRuns(run=failed, latest=latest, good=good),
            other: LaterRuns(run=other, latest=other, good=None),
        }

    await rehearse(shared_database, work)


async def test_waits_are_those_of_first_attempts_and_of_entries(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        times = {"queued_at": NOW, "started_at": NOW + timedelta(seconds=90)}
        _add(connection, "waited", RunStatus.SUCCEEDED, **times)
        _add(connection, "direct", RunStatus.SUCCEEDED, started_at=NOW)
        _add(connection, "again", RunStatus.SUCCEEDED, attempt=2, **times)
        assert run_overview.find_waits(connection, _window()) == [QueueWait("etl", 90_000)]
        for number, queue in enumerate(("slow", "slow", "new")):
            name = "etl" if queue == "slow" else "other"
            key = _add(connection, f"q{number}", RunStatus.QUEUED, dag_name=name, queue=queue)
            at = NOW + number * HOUR
            add(connection, QueueEntry, run_id=key, queue=queue, priority=0, queued_at=at)
        slow, new = QueuedRuns("slow", 2, NOW), QueuedRuns("new", 1, NOW + 2 * HOUR)
        assert run_overview.find_queued(connection, None) == [slow, new]
        assert run_overview.find_queued(connection, ["other"]) == [new]
        active = run_overview.find_active(connection, NOW + HOUR, None)
        assert [run.run_id for run in active] == ["q0", "q1", "q2"]
        assert [run.run_id for run in run_overview.find_active(connection, NOW + HOUR, ["other"])] == ["q2"]

    await rehearse(shared_database, work)


async def test_missed_starts_are_counted_by_dag_and_outcome(shared_database: Database) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        dag = add_dag(connection)
        minute = NOW.replace(second=0, microsecond=0)
        for number, outcome in enumerate(("missed", "missed", "failed", "started", "skipped")):
            add_slot(connection, dag, minute=minute - number * HOUR, outcome=outcome)
        add_slot(connection, 77, minute=minute - 5 * HOUR, outcome="missed", file_name="gone")
        add_slot(connection, dag, minute=minute - 30 * HOUR, outcome="missed")
        since, before = NOW - 24 * HOUR, NOW + HOUR
        found = schedules.find_missed(connection, since, before, (), 100)
        assert [(row.file_name, row.dag_name, row.outcome, row.starts, row.last) for row in found] == [
            ("etl", "etl", "missed", 2, minute),
            ("etl", "etl", "failed", 1, minute - 2 * HOUR),
            ("gone", None, "missed", 1, minute - 5 * HOUR),
        ]
        assert schedules.find_missed(connection, since, before, (("user:u",),), 100) == []
        assert [row.starts for row in schedules.find_missed(connection, since, before, (("name:go*",),), 100)] == [1]
        assert [row.starts for row in schedules.find_missed(connection, since, before, (), 1)] == [2]

    await rehearse(shared_database, work)


_READS: list[tuple[Callable[[ReadConnection], object], str]] = [
    (lambda c: run_overview.find_count_start(c, _window()), "ix_runs_root"),
    (
        lambda c: run_overview.count_by_quarter(c, _window()),
        "ix_runs_status (status=? AND created_at>? AND created_at<?)",
    ),
    (
        lambda c: run_overview.count_by_quarter(c, _window(["etl"])),
        "ix_runs_root_name (dag_name=? AND created_at>? AND created_at<?)",
    ),
    (lambda c: run_overview.count_waiting(c, _window()), "ix_runs_status (status=? AND created_at>? AND created_at<?)"),
    (lambda c: run_overview.find_failures(c, _window()), "ix_runs_status (status=? AND created_at>? AND created_at<?)"),
    (lambda c: run_overview.find_failures(c, _window(["etl"])), "ix_runs_"),
    (lambda c: run_overview.find_later(c, [1, 2]), "ix_runs_root_name (dag_name=?)"),
    (lambda c: run_overview.find_active(c, NOW, None), "ix_runs_status (status=?"),
    (lambda c: run_overview.find_active(c, NOW, ["etl"]), "ix_runs_status (status=?"),
    (lambda c: run_overview.find_waits(c, _window()), "ix_runs_root (created_at>? AND created_at<?)"),
    (lambda c: schedules.find_missed(c, NOW - HOUR, NOW, (), 100), "ix_schedule_slots_minute"),
]


@pytest.mark.parametrize(("read", "index"), _READS)
async def test_each_read_uses_an_index(
    shared_database: Database, read: Callable[[ReadConnection], object], index: str
) -> None:
    def work(connection: WriteConnection) -> None:
        add_definition(connection)
        for number in range(20):
            status = RunStatus.FAILED if number % 5 else RunStatus.RUNNING
            _add(connection, f"r{number}", status, NOW - number * HOUR)
        plan = plans(connection, read)
        assert not scanned(plan) & Base.metadata.tables.keys(), plan
        # PostgreSQL chooses among indexes by statistics, which so few rows do not give.
        assert connection.dialect.name == "postgresql" or index in plan, plan

    await rehearse(shared_database, work)
