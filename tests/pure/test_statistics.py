"""How long runs take and how they end."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from dagbook.api.presenters.history import percentile, statistics
from dagbook.db.repositories.runs.run_history import FinishedRunRow
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
        FinishedRunRow("a", RunStatus.SUCCEEDED, 100, 10.0),
        FinishedRunRow("b", RunStatus.FAILED, 90, 0.1),
        FinishedRunRow("c", RunStatus.PARTIALLY_SUCCEEDED, 80, 20.0),
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
