"""When stored DAGs start next (api-behaviour op 12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dagbook.definitions import timetable
from dagbook.definitions.timetable import ScheduleCache, parse_schedules

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def _learned(zone: str = "UTC", **texts: str) -> ScheduleCache:
    known = ScheduleCache(ZoneInfo(zone))
    known.add(parse_schedules(texts))
    return known


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("steps: []", None),
        ('schedule: "45 12 * * *"', "12:45"),
        ('SCHEDULE: "45 12 * * *"', "12:45"),
        ('schedule: ["0 14 * * *", "0 13 * * *"]', "13:00"),
        ('schedule: {start: "0 15 * * *", stop: "40 12 * * *"}', "15:00"),
        ('schedule: "no cron"', None),
        ('schedule: "0 0 30 2 *"', None),
        ("schedule: [", None),
    ],
)
def test_a_dag_starts_next_at_the_earliest_of_its_schedules(text: str, at: str | None) -> None:
    instant = _learned(a=text).next_start("a", NOW)
    assert (f"{instant:%H:%M}" if instant else None) == at


def test_schedules_are_read_in_the_zone_of_the_server() -> None:
    assert _learned("Asia/Tokyo", a='schedule: "0 22 * * *"').next_start("a", NOW) == NOW + timedelta(minutes=30)


def test_an_instant_that_has_come_is_followed_by_the_next_one() -> None:
    known = _learned(a='schedule: "*/30 * * * *"')
    found = [known.next_start("a", NOW + timedelta(minutes=minutes)) for minutes in (0, 29, 30)]
    assert found == [NOW + timedelta(minutes=minutes) for minutes in (30, 30, 60)]


def test_what_is_unknown_is_named_once_until_it_is_learned() -> None:
    known = _learned(a="steps: []")
    assert known.missing(["a", "b", "b"]) == ["b"]
    assert known.next_start("b", NOW) is None


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetable, "_MAX_CACHED", 2)
    known = _learned(a="steps: []", b="steps: []", c="steps: []")
    known.add(parse_schedules({"d": "steps: []"}))
    assert known.missing(["a", "d"]) == ["a"]


def test_a_time_that_occurs_twice_is_two_starts() -> None:
    """As the scheduler starts it; Python compares times of one zone without the offset."""
    berlin = ZoneInfo("Europe/Berlin")
    found = timetable.next_starts(["30 2 * * *", "30 2 * * *"], datetime(2026, 10, 24, 12, tzinfo=UTC), berlin, 3)
    assert [start.at.isoformat() for start in found] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-26T02:30:00+01:00",
    ]
