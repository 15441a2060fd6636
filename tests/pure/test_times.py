"""Many instants as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.api.presenters.fields import TimeFormatter

ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/New_York", "Pacific/Chatham")
TIMES = {zone: TimeFormatter(ZoneInfo(zone)) for zone in ZONES}
instants = st.datetimes(datetime(1973, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@given(instants, st.sampled_from(ZONES))
def test_an_instant_is_written_in_the_zone_with_whole_seconds(instant: datetime, zone: str) -> None:
    wanted = instant.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds").replace("+00:00", "Z")
    assert TIMES[zone].text(instant) == wanted
    assert TIMES[zone].text(int(instant.timestamp() * 1000)) == wanted


@pytest.mark.parametrize("zone", ZONES)
def test_every_quarter_of_a_year_of_clock_changes_is_right(zone: str) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(366 * 96):
        instant = begin + timedelta(minutes=15 * number, seconds=number % 900)
        wanted = instant.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds").replace("+00:00", "Z")
        assert TIMES[zone].text(instant) == wanted


def test_no_instant_is_written_as_asked() -> None:
    assert (TIMES["UTC"].text(None), TIMES["UTC"].text(None, "-")) == ("", "-")
