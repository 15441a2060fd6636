"""How long runs take and how they end."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from dagbook.api.presenters.history import day_starts, days_of, percentile, statistics
from dagbook.db.repositories.runs.run_history import QUARTER_SECONDS, CountedRuns, FinishedRunRow
from dagbook.engine.status import RunStatus

UTC = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("values", "median", "most"),
    [([], UNSET, UNSET), ([3.0], 3.0, 3.0), ([1.0, 2.0], 1.0, 2.0), ([float(n) for n in range(1, 101)], 50.0, 95.0)],
)
def test_percentiles_are_values_that_occurred(values: list[float], median: float, most: float) -> None:
    assert (percentile(values, 0.5), percentile(values, 0.95)) == (median, most)


@given(st.lists(st.integers(0, 1000), min_size=1), st.floats(0.01, 1))
def test_no_fewer_values_than_the_part_are_below_a_percentile(values: list[int], part: float) -> None:
    found = percentile(sorted(map(float, values)), part)
    assert found is not UNSET
    assert sum(value <= found for value in values) >= part * len(values)


def test_failures_count_and_do_not_shorten_what_is_usual() -> None:
    ended = [
        FinishedRunRow("a", RunStatus.SUCCEEDED, 100_000, 10.0),
        FinishedRunRow("b", RunStatus.FAILED, 90_000, 0.1),
        FinishedRunRow("c", RunStatus.PARTIALLY_SUCCEEDED, 80_000, 20.0),
        FinishedRunRow("d", RunStatus.ABORTED, None, None),
    ]
    found = statistics("etl", ended, UTC, more=True)
    assert (found.runs, found.succeeded, found.failed, found.aborted, found.partially_succeeded) == (4, 1, 1, 1, 1)
    assert (found.p50_seconds, found.p95_seconds, found.truncated) == (10.0, 20.0, True)
    assert [run.dag_run_id for run in found.last_runs] == ["a", "b", "c", "d"]
    assert (found.last_runs[1].duration_seconds, found.last_runs[1].started_at) == (0.1, "1970-01-01T00:01:30Z")
    assert (found.last_runs[3].duration_seconds, found.last_runs[3].started_at) == (UNSET, "")


def test_nothing_is_usual_where_nothing_ran() -> None:
    found = statistics("etl", [], UTC, more=False)
    assert (found.runs, found.p50_seconds, found.last_runs) == (0, UNSET, [])


BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 10, 26, 12, tzinfo=UTC)  # a day after the clocks in Berlin were set back


def _counted(text: str, status: RunStatus, count: int) -> CountedRuns:
    return CountedRuns(int(datetime.fromisoformat(text).timestamp()) // QUARTER_SECONDS, status, count)


def test_days_are_those_of_the_time_zone_also_when_its_clocks_are_set_back() -> None:
    starts = day_starts(NOW, 3, BERLIN)
    counted = [
        _counted("2026-10-25T23:15+01:00", RunStatus.SUCCEEDED, 4),
        _counted("2026-10-25T02:30+01:00", RunStatus.FAILED, 1),
        _counted("2026-10-25T02:30+02:00", RunStatus.SUCCEEDED, 1),
        _counted("2026-10-25T00:00+02:00", RunStatus.SUCCEEDED, 1),
        _counted("2026-10-24T23:45+02:00", RunStatus.ABORTED, 2),
    ]
    found = days_of("etl", counted, starts, 100)
    assert (found.zone, found.truncated) == ("Europe/Berlin", False)
    assert [(day.date, (day.to_date - day.from_date) // 3600) for day in found.days] == [
        ("2026-10-24", 24),
        ("2026-10-25", 25),
        ("2026-10-26", 24),
    ]
    assert [[(one.status_label, one.count) for one in day.counts] for day in found.days] == [
        [("aborted", 2)],
        [("failed", 1), ("succeeded", 6)],
        [],
    ]


def test_days_that_were_not_read_are_left_out() -> None:
    counted = [
        _counted("2026-10-26T01:00Z", RunStatus.SUCCEEDED, 7),
        _counted("2026-10-25T12:00Z", RunStatus.FAILED, 3),
    ]
    found = days_of("etl", counted, day_starts(NOW, 9, UTC), most=10)
    assert found.truncated
    assert [day.date for day in found.days] == ["2026-10-25", "2026-10-26"]
    assert days_of("etl", [], day_starts(NOW, 9, UTC), most=10).days[0].date == "2026-10-18"
