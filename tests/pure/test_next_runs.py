"""When stored DAGs start next (api-behaviour op 12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dagbook.definitions import timetable
from dagbook.definitions.timetable import ScheduleCache, parse_schedules
from dagbook.spec.time.schedule import read_schedule

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def _next_start(text: str, zone: str = "UTC") -> datetime | None:
    return ScheduleCache(ZoneInfo(zone)).next_start(read_schedule(text), NOW)


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
    instant = _next_start(text)
    assert (f"{instant:%H:%M}" if instant else None) == at


def test_schedules_are_read_in_the_zone_of_the_server() -> None:
    assert _next_start('schedule: "0 22 * * *"', "Asia/Tokyo") == NOW + timedelta(minutes=30)


def test_an_instant_that_has_come_is_followed_by_the_next_one() -> None:
    cache, timing = ScheduleCache(ZoneInfo("UTC")), read_schedule('schedule: "*/30 * * * *"')
    found = [cache.next_start(timing, NOW + timedelta(minutes=minutes)) for minutes in (0, 29, 30)]
    assert found == [NOW + timedelta(minutes=minutes) for minutes in (30, 30, 60)]


def test_what_is_cached_has_a_bound_beside_the_texts_of_stored_dags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetable, "_MAX_CACHED", 2)
    cache = ScheduleCache(ZoneInfo("UTC"))
    cache.add(parse_schedules(dict.fromkeys("abc", "steps: []")))
    cache.keep("ab")
    cache.add(parse_schedules(dict.fromkeys("cd", "steps: []")))
    cache.add(parse_schedules({"e": "steps: []"}))
    assert list(cache.find("abcde")) == ["a", "b", "c", "d", "e"]
    cache.add(parse_schedules({"f": "steps: []"}))
    assert list(cache.find("abcdef")) == ["f"]


def test_a_time_that_occurs_twice_is_two_starts() -> None:
    """As the scheduler starts it; Python compares times of one zone without the offset."""
    berlin = ZoneInfo("Europe/Berlin")
    found = timetable.next_starts(["30 2 * * *", "30 2 * * *"], datetime(2026, 10, 24, 12, tzinfo=UTC), berlin, 3)
    assert [start.at.isoformat() for start in found] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-26T02:30:00+01:00",
    ]
