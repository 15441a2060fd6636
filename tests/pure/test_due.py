"""What is due when, and what of it is done: tables, and random schedules around the changes of clocks (promise R10)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.db.types import CatchUp
from dagbook.definitions.settings import MAX_CATCH_UP
from dagbook.definitions.timetable import newest
from dagbook.scheduling.due import (
    MINUTE,
    Catchup,
    Firing,
    Latest,
    TimeWindow,
    due,
    plan,
    predates_dag,
    resume,
    skip_reason,
    time_window,
)
from dagbook.spec.time.schedule import NO_SCHEDULE, ParsedSchedule, read_schedule
from tests.chaos import clocks
from tests.chaos.clocks import ClockChange
from tests.chaos.schedules import SPAN, STEPS, ClockJumpCase, ScheduleCase, ScheduleExperiment

CASES = 500  # 100,000 is the full size: scripts/chaos schedules --cases 100000
CHANGES = st.sampled_from(clocks.ZONES).flatmap(lambda zone: st.sampled_from(clocks.changes(zone)))
EXPRESSIONS = st.tuples(*(st.sampled_from(field) for field in clocks.FIELDS)).map(" ".join)
UTC_ZONE = ZoneInfo("UTC")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def timing(schedule: str, more: str = "") -> ParsedSchedule:
    found = read_schedule(f"schedule: {schedule}\n{more}steps: []\n")
    assert found.is_valid
    return found


def at(text: str) -> datetime:
    """Read a time of the day of NOON."""
    hour, minute = text.split(":")
    return NOON.replace(hour=int(hour), minute=int(minute))


def shown(firings: list[Firing]) -> list[str]:
    marks = {(False, False): "", (True, False): " made up", (False, True): " missed"}
    return [f"{firing.minute:%H:%M} {firing.kind}{marks[firing.made_up, firing.missed]}" for firing in firings]


@pytest.mark.parametrize(
    ("stored_seconds", "predates"),
    [(-1, False), (0, False), (0.1, True), (59, True), (60, False), (3600, False)],
)
def test_the_minute_in_which_a_dag_is_stored_is_none_of_its_minutes(stored_seconds: float, predates: bool) -> None:
    firing = Firing(minute=NOON, kind="start")
    assert predates_dag(firing, NOON + timedelta(seconds=stored_seconds)) is predates


# -- reading ---------------------------------------------------------------------------------------------------------


def test_a_definition_without_schedules_is_never_due() -> None:
    assert read_schedule("steps: []\n") is NO_SCHEDULE


@pytest.mark.parametrize("text", ["schedule: [", "schedule: '61 * * * *'\n", "schedule: 7\n", "# schedule\n"])
def test_a_text_that_cannot_be_read_has_no_timing(text: str) -> None:
    found = read_schedule(text)
    assert found.is_empty
    assert not found.is_valid


@pytest.mark.parametrize("key", ["schedule", "Schedule", "SCHEDULE"])
def test_a_schedule_counts_in_any_case_of_its_key(key: str) -> None:
    found = read_schedule(f"{key}: '* * * * *'\nsteps: []\n")
    assert [entry.expression for entry in found.start] == ["* * * * *"]


def test_the_main_document_alone_is_scheduled() -> None:
    found = read_schedule("steps: []\n---\nname: b\nschedule: '* * * * *'\nsteps: []\n")
    assert found.is_empty


# -- what is due -----------------------------------------------------------------------------------------------------


def test_in_one_minute_everything_is_due_stops_first() -> None:
    every = timing("{start: '* * * * *', stop: '0 * * * *', restart: ['*/5 * * * *', '0 * * * *']}")
    assert shown(due(every, NOON - MINUTE, NOON, UTC_ZONE)) == ["12:00 stop", "12:00 restart", "12:00 start"]


def test_a_window_includes_its_end_and_excludes_its_start() -> None:
    assert shown(due(timing("'*/5 * * * *'"), NOON, at("12:10"), UTC_ZONE)) == ["12:05 start", "12:10 start"]


def test_each_expression_uses_its_own_time_zone() -> None:
    both = timing("['0 13 * * *', 'TZ=Asia/Tokyo 30 21 * * *']")
    assert shown(due(both, at("11:00"), at("23:00"), UTC_ZONE)) == ["12:30 start", "13:00 start"]


@pytest.mark.parametrize(("most", "expected"), [(1, ["12:00"]), (3, ["10:00", "11:00", "12:00"]), (99, 13)])
def test_the_newest_minutes_are_found_from_the_end(most: int, expected: list[str] | int) -> None:
    hourly = timing("'0 * * * *'").start
    found = newest(hourly, at("0:00") - MINUTE, NOON, UTC_ZONE, most)
    assert (len(found) if isinstance(expected, int) else [f"{minute:%H:%M}" for minute in found]) == expected


def test_the_newest_minute_of_a_year_is_found_without_a_full_search() -> None:
    minutely = timing("'* * * * *'").start

    class Counted(msgspec.Struct, frozen=True):
        asked: list[datetime]

        def next(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
            self.asked.append(instant)
            return minutely[0].next(instant, zone)

    counted = Counted([])
    found = newest([counted], NOON - timedelta(days=365), NOON, UTC_ZONE)  # type: ignore[list-item]
    assert (found, len(counted.asked) < 100) == ([NOON], True)


# -- what has window -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "mark", "expected"),
    [
        (None, None, ("11:59", False)),
        (None, "11:50", ("11:50", False)),
        (None, "12:00", ("11:59", False)),
        (None, "12:30", ("11:59", False)),
        ("11:59", "11:30", ("11:59", True)),
        ("11:50", "11:58", ("11:50", True)),
        ("12:30", None, ("11:59", True)),
        ("12:00", None, None),
    ],
)
def test_the_window_goes_from_the_last_tick_to_now(
    last: str | None, mark: str | None, expected: tuple[str, bool] | None
) -> None:
    window = time_window(at(last) if last else None, at(mark) if mark else None, NOON + timedelta(seconds=42))
    found = None if window is None else (f"{window.after:%H:%M}", window.alive)
    assert found == expected
    assert window is None or window.until == NOON


# -- what is done of it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "alive", "expected"),
    [
        ("none", True, ["11:50 stop", "12:00 start"]),
        ("none", False, ["11:40 start missed", "12:00 start"]),
        ("latest", True, ["11:50 stop", "12:00 start"]),
        ("latest", False, ["12:00 start"]),
        ("all", True, ["11:20 start made up", "11:40 start made up", "11:50 stop", "12:00 start made up"]),
        ("all", False, ["11:20 start made up", "11:40 start made up", "12:00 start made up"]),
    ],
)
def test_firings_after_a_pause(policy: CatchUp, alive: bool, expected: list[str]) -> None:
    both = timing("{start: '*/20 * * * *', stop: '10,50 * * * *'}")
    window = TimeWindow(after=at("11:00"), until=NOON, alive=alive)
    assert shown(plan(both, Catchup(policy=policy, window=timedelta(hours=6)), window, UTC_ZONE)) == expected


@pytest.mark.parametrize(
    ("policy", "expected"), [("none", ["11:40 start missed"]), ("latest", ["11:40 start made up"])]
)
def test_firings_after_a_pause_when_nothing_is_due_now(policy: CatchUp, expected: list[str]) -> None:
    window = TimeWindow(after=at("11:00"), until=at("11:50"), alive=False)
    catchup = Catchup(policy=policy, window=timedelta(hours=6))
    assert shown(plan(timing("'*/20 * * * *'"), catchup, window, UTC_ZONE)) == expected


def test_starts_before_the_window_or_the_schedule_are_not_caught_up() -> None:
    every = timing("'*/10 * * * *'")
    window = TimeWindow(after=at("9:00"), until=at("11:55"), alive=False)
    catchup = Catchup(policy="all", window=timedelta(minutes=30))
    assert shown(plan(every, catchup, window, UTC_ZONE))[0] == "11:30 start made up"
    catchup = Catchup(policy="all", window=timedelta(hours=9), since=at("11:40") + timedelta(seconds=5))
    assert shown(plan(every, catchup, window, UTC_ZONE)) == ["11:50 start made up"]


def test_the_newest_starts_up_to_the_limit_are_caught_up() -> None:
    window = TimeWindow(after=NOON - timedelta(days=2), until=NOON, alive=False)
    found = plan(timing("'* * * * *'"), Catchup(policy="all", window=timedelta(days=31)), window, UTC_ZONE)
    assert (len(found), found[-1].minute) == (MAX_CATCH_UP, NOON)


def test_a_missed_stop_is_not_caught_up() -> None:
    window = TimeWindow(after=at("11:00"), until=at("11:55"), alive=False)
    both = timing("{stop: '30 * * * *', restart: '40 * * * *'}")
    assert plan(both, Catchup(policy="all", window=timedelta(hours=9)), window, UTC_ZONE) == []


# -- why a start is skipped ------------------------------------------------------------------------------------------


def latest(began: str, *, running: bool = False, succeeded: bool = True, scheduled_for: str = "") -> Latest:
    own = at(scheduled_for) if scheduled_for else None
    return Latest(running=running, succeeded=succeeded, started_at=at(began) + timedelta(seconds=9), scheduled_for=own)


@pytest.mark.parametrize(
    ("newest_run", "reason"),
    [
        (None, ""),
        (latest("11:30", running=True), "still running"),
        (latest("12:00"), "in this minute"),
        (latest("12:05"), ""),  # its clock was ahead
        (latest("11:59", succeeded=False), ""),
        (latest("11:59"), "skipIfSuccessful"),
        (latest("11:00"), "skipIfSuccessful"),
        (latest("10:59"), ""),
        (latest("11:00", scheduled_for="11:00"), ""),
        (latest("11:30", scheduled_for="10:00"), "skipIfSuccessful"),
    ],
)
def test_a_start_is_skipped_for_a_reason(newest_run: Latest | None, reason: str) -> None:
    hourly = timing("'0 * * * *'", "skipIfSuccessful: true\n")
    told = skip_reason(hourly, NOON, newest_run, NOON + timedelta(seconds=30), UTC_ZONE)
    assert (told == "") if not reason else (reason in told)


def test_without_skip_if_successful_a_success_does_not_skip() -> None:
    assert skip_reason(timing("'0 * * * *'"), NOON, latest("11:30"), NOON, UTC_ZONE) == ""


def test_of_two_matching_expressions_the_shorter_interval_decides() -> None:
    both = timing("['0 * * * *', '*/10 * * * *']", "skipIfSuccessful: true\n")
    assert skip_reason(both, NOON, latest("11:30"), NOON, UTC_ZONE) == ""
    assert skip_reason(both, NOON, latest("11:55"), NOON, UTC_ZONE) != ""


# -- around the changes of clocks ------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@settings(max_examples=CASES, deadline=None)
@given(
    expressions=st.lists(EXPRESSIONS, min_size=1, max_size=2),
    change=CHANGES,
    hours=st.integers(-9, 1),
    cuts=st.lists(st.integers(1, SPAN // MINUTE - 1), max_size=3, unique=True),
)
def test_everything_is_due_exactly_when_its_wall_clock_shows_it(
    expressions: list[str], change: ClockChange, hours: int, cuts: list[int]
) -> None:
    """In one look or in several: the same, each once, as a walk over all minutes with a matcher of its own finds."""
    assert ScheduleCase(expressions, change, hours, cuts).wrong() == ""


@pytest.mark.timeout(300)
@settings(max_examples=CASES // 10, deadline=None)
@given(
    expression=EXPRESSIONS,
    change=CHANGES,
    steps=st.lists(st.sampled_from(STEPS), min_size=30, max_size=90),
)
def test_a_clock_that_jumps_never_makes_a_minute_due_twice(
    expression: str, change: ClockChange, steps: list[int]
) -> None:
    assert ClockJumpCase(expression, change, steps).wrong() == ""


# What looks for mistakes has to find them: the same cases, looked at by a scheduler that makes one.

BERLIN = ClockChange("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC))


def test_a_minute_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.schedules.due", lambda *asked: due(*asked)[1:])
    assert "due at" in ScheduleCase(["*/30 * * * *"], BERLIN, 0, []).wrong()


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda found: [*found, *found], "twice at"),
        (lambda _: [], "never at"),
        (lambda found: [msgspec.structs.replace(one, minute=one.minute + 7 * MINUTE) for one in found], "at"),
    ],
    ids=["doubled", "missed", "moved"],
)
def test_a_clock_that_jumps_shows_a_mistake(
    monkeypatch: pytest.MonkeyPatch, mistake: Callable[[list[Firing]], list[Firing]], said: str
) -> None:
    monkeypatch.setattr("tests.chaos.schedules.plan", lambda *asked: mistake(plan(*asked)))
    assert said in ClockJumpCase("*/5 * * * *", BERLIN, [1] * 30).wrong()


def test_cases_are_the_same_again_with_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.schedules.due", lambda *_: [])
    found = [ScheduleExperiment(40, seed).run() for seed in (1, 1, 2)]
    assert found[0]
    assert (found[0] == found[1], found[0] == found[2]) == (True, False)


@pytest.mark.parametrize(
    ("policy", "hours", "planned", "expected"),
    [
        ("none", 24, [], []),
        ("latest", 24, [], ["11:59"]),
        ("latest", 24, ["12:00"], []),  # which is the latest one
        ("latest", 24, ["11:59"], ["11:59"]),  # the pause ended in its minute, and another server began
        ("all", 24, [], ["09:00", "11:00", "11:59"]),
        ("all", 2, ["12:00"], ["11:00", "11:59"]),
        ("latest", 0, [], []),
    ],
)
def test_starts_that_a_pause_has_suspended_are_made_up_as_after_a_time_without_a_server(
    policy: CatchUp, hours: int, planned: list[str], expected: list[str]
) -> None:
    pending = [at(text) for text in ("11:59", "09:00", "11:00")]
    catchup = Catchup(policy=policy, window=timedelta(hours=hours))
    found = resume(pending, [Firing(minute=at(text), kind="start") for text in planned], catchup, at("12:00"))
    assert [f"{firing.minute:%H:%M}" for firing in found] == expected
    assert all(firing.made_up and firing.resumed for firing in found)


def test_of_a_long_pause_no_more_starts_are_made_up_than_after_any_other_time() -> None:
    pending = [NOON - number * MINUTE for number in range(1, MAX_CATCH_UP + 100)]
    found = resume(pending, [], Catchup(policy="all", window=timedelta(days=90)), NOON)
    assert (len(found), found[-1].minute) == (MAX_CATCH_UP, NOON - MINUTE)
