"""When messages are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dagbook.alerts.due import after_quiet, due_at, parse_quiet

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "at", "until"),
    [
        ("22:00-07:00", "2026-03-01T21:59:59+00:00", "2026-03-01T21:59:59+00:00"),
        ("22:00-07:00", "2026-03-01T22:00:00+00:00", "2026-03-02T07:00:00+00:00"),
        ("22:00-07:00", "2026-03-02T06:59:00+00:00", "2026-03-02T07:00:00+00:00"),
        ("22:00-07:00", "2026-03-02T07:00:00+00:00", "2026-03-02T07:00:00+00:00"),
        ("12:00-13:00", "2026-03-01T12:30:00+00:00", "2026-03-01T13:00:00+00:00"),
        ("22:00-07:00 Europe/Berlin", "2026-03-01T21:30:00+00:00", "2026-03-02T06:00:00+00:00"),
        # The night in which the clocks go forward: the hours end at 7 as they are shown then.
        ("22:00-07:00 Europe/Berlin", "2026-03-28T23:00:00+00:00", "2026-03-29T05:00:00+00:00"),
    ],
)
def test_quiet_hours_end_at_the_time_that_clocks_show(span: str, at: str, until: str) -> None:
    assert after_quiet(datetime.fromisoformat(at), parse_quiet(span)) == datetime.fromisoformat(until)


@pytest.mark.parametrize(
    "span", ["", "22-07", "25:00-07:00", "22:00-07:61", "07:00-07:00", "22:00-07:00 Nowhere/X", "x" * 99]
)
def test_other_spans_are_refused(span: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_quiet(span)


def test_a_delay_ends_before_quiet_hours_are_looked_at() -> None:
    assert due_at(NOW, 900, "") == NOW + timedelta(minutes=15)
    assert due_at(NOW, 900, "12:10-13:00") == NOW + timedelta(hours=1)
