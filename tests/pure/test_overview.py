"""The overview of all DAGs: ranges, reasons of failures, runs that take longer than is usual, queues, the disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from dagbook.api.presenters.overview import (
    bars,
    disk_space,
    failure_group,
    group_failures,
    queue_overviews,
    range_starts,
    unusual_runs,
)
from dagbook.api.schemas.overview import OverviewRange
from dagbook.api.schemas.runs import WaitingFor
from dagbook.db.repositories.runs.run_history import CountedRuns, RecentRun
from dagbook.db.repositories.runs.run_overview import FailureRow, LaterRuns, QueuedRuns, QueueWait
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.status import RunStatus
from dagbook.telemetry.resources import Sample

BERLIN, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 10, 26, 9, 40, 12, tzinfo=UTC)  # 10:40 in Berlin, a day after the clocks were set back
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("range_", "now", "zone", "first", "last", "bars_"),
    [
        ("24h", NOW, BERLIN, "2026-10-25T11:00+01:00", "2026-10-26T11:00+01:00", 24),
        ("24h", NOW, KOLKATA, "2026-10-25T16:00+05:30", "2026-10-26T16:00+05:30", 24),
        ("night", NOW, BERLIN, "2026-10-25T18:00+01:00", "2026-10-26T08:00+01:00", 14),
        ("night", NOW - 24 * HOUR, BERLIN, "2026-10-24T18:00+02:00", "2026-10-25T08:00+01:00", 15),
        ("night", NOW - 7 * HOUR, BERLIN, "2026-10-25T18:00+01:00", "2026-10-26T04:00+01:00", 10),
        ("7d", NOW, BERLIN, "2026-10-20T00:00+02:00", "2026-10-27T00:00+01:00", 7),
        ("30d", NOW, UTC, "2026-09-27T00:00+00:00", "2026-10-27T00:00+00:00", 30),
    ],
)
def test_a_range_is_of_whole_hours_or_days_of_a_zone(
    range_: OverviewRange, now: datetime, zone: Any, first: str, last: str, bars_: int
) -> None:
    starts = range_starts(range_, now, zone)
    assert (starts[0], starts[-1]) == (datetime.fromisoformat(first), datetime.fromisoformat(last))
    assert len(starts) == bars_ + 1
    if range_ not in ("7d", "30d"):
        assert {(after - before) for before, after in pairwise(start.astimezone(UTC) for start in starts)} == {HOUR}


def test_runs_that_wait_for_a_person_are_no_running_ones_in_a_bar() -> None:
    starts = [NOW.replace(minute=0, second=0) + number * HOUR for number in range(3)]
    quarter = int(starts[1].timestamp()) // 900
    running, failed = RunStatus.RUNNING, RunStatus.FAILED
    counted = [CountedRuns(quarter, running, 2), CountedRuns(quarter + 3, running, 1), CountedRuns(quarter, failed, 4)]
    first, second = bars(starts, counted, [CountedRuns(quarter + 3, running, 1)])
    assert first.counts == []
    assert (second.from_date, second.to_date) == (int(starts[1].timestamp()), int(starts[2].timestamp()))
    found = [(one.status, one.count, bool(one.waiting_for_approval)) for one in second.counts]
    assert found == [(running, 2, False), (running, 1, True), (failed, 4, False)]


def _failure(error: str | None, newest: int, **values: Any) -> FailureRow:
    row = FailureRow(dag_name="etl", position=1, error=error, runs=1, first_at=NOW - newest * HOUR, newest=newest)
    return replace(row, **values)


def test_failures_are_one_when_their_last_lines_differ_in_numbers_and_ids_alone() -> None:
    exit_3 = "exit status 3\nlast of stderr:\n{} rows of 2b4f9c1e-77aa are lost"
    rows = [
        _failure(exit_3.format(7), 1),
        _failure(exit_3.replace("77aa", "a7b2").format(12), 2, runs=4),
        _failure("exit status 4\nlast of stderr:\n12 rows of 2b4f9c1e-77aa are lost", 3),
        _failure("exit status 3\nlast of stderr:\ndisk full", 4),
        _failure(exit_3.format(9), 5, position=2),
        _failure(exit_3.format(9), 6, dag_name="other"),
        _failure(None, 7),
    ]
    groups = group_failures(rows)
    assert [group.newest for group in groups] == [7, 6, 5, 4, 3, 2]
    assert groups[-1] == replace(rows[1], runs=5, first_at=NOW - 2 * HOUR)
    assert group_failures([]) == []


def _run(key: int, status: RunStatus, hours_ago: float, **values: Any) -> RunRow:
    at = NOW - hours_ago * HOUR
    row = RunRow(
        id=key,
        root_id=None,
        scheduled_at=None,
        dag_name="etl",
        run_id=f"r{key}",
        status=status,
        attempt=1,
        params_text="",
        created_at=at,
        queued_at=None,
        started_at=at,
        finished_at=at if status.is_final else None,
        definition_hash="",
        file_name="etl",
        dag_revision=1,
        queue="etl",
        trigger="api",
        actor=None,
        error=None,
    )
    return replace(row, **values)


@pytest.mark.parametrize(
    ("latest", "good", "fixed", "shown"),
    [(1, None, False, None), (2, 2, True, "r2"), (3, 4, False, "r3"), (1, 4, False, None), (3, 2, True, "r3")],
)
def test_a_failure_is_fixed_by_a_newer_run_that_succeeded(
    latest: int, good: int | None, fixed: bool, shown: str | None
) -> None:
    runs = {
        1: _run(1, RunStatus.FAILED, 3),
        2: _run(2, RunStatus.SUCCEEDED, 2),
        3: _run(3, RunStatus.RUNNING, 1),
        4: _run(4, RunStatus.SUCCEEDED, 9),
    }
    row = _failure("exit status 3\nlast of stderr:\nno room", 1)
    found = failure_group(row, LaterRuns(run=1, latest=latest, good=good), runs, "load", UTC, waiting={3})
    assert (found.fixed, found.reason) == (fixed, "load: exit status 3 \N{EN DASH} no room")
    assert (found.latest.dag_run_id if found.latest else None) == shown
    assert bool(found.latest and found.latest.waiting_for_approval) is (shown == "r3")
    assert (found.last_good.dag_run_id if found.last_good else None) == (f"r{good}" if good else None)
    assert found.dag_run_id == "r1"


def test_a_failure_without_a_step_has_the_reason_of_its_run() -> None:
    runs, later = {1: _run(1, RunStatus.FAILED, 3)}, LaterRuns(run=1, latest=1, good=None)
    reasons = [
        failure_group(_failure(error, 1, position=position), later, runs, node, UTC, waiting=()).reason
        for error, position, node in (("no secret", None, None), ("a\nb", 4, None), (None, None, None))
    ]
    assert reasons == ["no secret", "a", "failed"]


def _recent(seconds: float, waited: float = 0, status: RunStatus = RunStatus.SUCCEEDED) -> RecentRun:
    start = NOW - 50 * HOUR
    return RecentRun(
        id=1,
        dag_name="etl",
        run_id="r",
        status=status,
        created_at=start - timedelta(seconds=waited),
        started_at=start,
        finished_at=start + timedelta(seconds=seconds),
    )


@pytest.mark.parametrize(
    ("run", "recent", "expected"),
    [
        (_run(1, RunStatus.RUNNING, 1), [_recent(1000)] * 3, ("long", 1000.0)),
        (_run(1, RunStatus.RUNNING, 1), [_recent(2000)] * 3, None),
        (_run(1, RunStatus.RUNNING, 1 / 60), [_recent(1)] * 3, None),  # a minute more is nothing
        (_run(1, RunStatus.RUNNING, 1), [_recent(1, status=RunStatus.FAILED)] * 9, None),
        (_run(1, RunStatus.RUNNING, 1), [_recent(1)] * 2, None),  # too few to tell
        (_run(1, RunStatus.RUNNING, 7), [], ("long", UNSET)),
        (_run(1, RunStatus.QUEUED, 0.5, started_at=None), [_recent(1, waited=60)] * 3, ("late", 60.0)),
        (_run(1, RunStatus.QUEUED, 0.5, started_at=None), [_recent(1, waited=1000)] * 3, None),
        (_run(1, RunStatus.QUEUED, 2, started_at=None), [], ("late", UNSET)),
        (_run(5, RunStatus.RUNNING, 9), [], None),  # which waits for a person
    ],
)
def test_a_run_is_late_or_long_against_what_is_usual(run: RunRow, recent: list[RecentRun], expected: Any) -> None:
    found = unusual_runs([run], {"etl": recent}, {5}, NOW, UTC)
    assert [(one.kind, one.usual_seconds) for one in found] == ([] if expected is None else [expected])


def test_a_queue_is_stuck_for_a_reason_or_after_an_hour() -> None:
    def reason(name: str) -> WaitingFor:
        return WaitingFor(queue="q", item=1, priority=0, position=1, reason=name, message="")  # type: ignore[arg-type]  # of a table

    reasons = {"paused": reason("paused"), "full": reason("limit"), "old": reason("limit")}
    queued = [QueuedRuns("old", 2, NOW - 2 * HOUR), QueuedRuns("full", 5, NOW), QueuedRuns("paused", 1, NOW)]
    waits = [QueueWait("full", waited) for waited in (1000, 9000, 2000)]
    found = queue_overviews(queued, [*waits, QueueWait("done", 500)], reasons, NOW, UTC)
    assert [(one.name, one.queued, bool(one.stuck)) for one in found] == [
        ("old", 2, True),
        ("paused", 1, True),
        ("full", 5, False),
        ("done", 0, False),
    ]
    assert [(one.started, one.median_wait, one.longest_wait) for one in found[2:]] == [(3, 2.0, 9.0), (1, 0.5, 0.5)]
    assert [bool(one.waiting_for) for one in found] == [True, True, False, False]


def _sample(at: int, free: int) -> Sample:
    return Sample(at=at, cpu=0, memory=0, disk=80.0, load=0, free_bytes=free)


@pytest.mark.parametrize(
    ("samples", "full"),
    [
        ([_sample(0, 9000), _sample(7200, 8000)], 57_600),
        ([_sample(0, 9000), _sample(600, 8000)], UNSET),  # too short to tell
        ([_sample(0, 8000), _sample(7200, 9000)], UNSET),
        ([_sample(0, 10**9), _sample(7200, 10**9 - 1)], UNSET),
    ],
)
def test_the_disk_is_full_at_the_rate_of_the_samples(samples: list[Sample], full: Any) -> None:
    found = disk_space(samples)
    assert found
    assert (found.free_bytes, found.full_in_seconds) == (samples[-1].free_bytes, full)


def test_there_is_no_disk_without_a_sample() -> None:
    assert disk_space([]) is UNSET
