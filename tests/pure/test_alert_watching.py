"""What is missing or lasts too long, by the limits of rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from dagbook.alerts.kinds import Kind
from dagbook.alerts.watch.decisions import (
    Health,
    Limit,
    covering,
    find_fault,
    find_limits,
    find_overdue,
    find_queued,
    find_slow,
    find_unmet,
    is_met,
    needs_durations,
    why_in_time,
)
from dagbook.db.repositories.alerts.absences import FirstRun, Success, WatchedDag, WatchedRun
from dagbook.spec.time.schedule import CronEntry, read_entries
from tests.pure.test_alert_routing import rule

ZONE = ZoneInfo("UTC")
HOURLY, DAILY = (tuple(read_entries([text])) for text in ("0 * * * *", "0 2 * * *"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}+00:00")


def limits(*kinds: str, match: str = "*", created: str = "00:00") -> list[Limit]:
    rules = [rule(match, kinds=kinds, created_at=at(created))]
    return find_limits(rules, Kind(kinds[0].split()[0]))


def dag(started: str = "", finished: str = "", **values: Any) -> WatchedDag:
    fields: dict[str, Any] = {"id": 1, "dag_name": "nightly", "tags": (), "suspended": False, "created_at": at("00:00")}
    fields |= {"started_at": at(started) if started else None, "finished_at": at(finished) if finished else None}
    return WatchedDag(**(fields | values))


def is_overdue(one: WatchedDag, limit: str, now: str, starts: Iterable[CronEntry] = (), **values: Any) -> bool:
    success = Success(started_at=one.started_at, finished_at=one.finished_at)
    unmet = find_unmet(one, limits(limit, **values), tuple(starts), at(now), ZONE)
    return find_overdue(one, unmet, success) is not None


@pytest.mark.parametrize(
    ("started", "finished", "now", "expected"),
    [
        ("", "", "02:59", False),  # the first start that counts is at 01:00
        ("", "", "03:00", True),
        ("01:00", "01:10", "03:59", False),  # that of 01:00 has succeeded, that of 02:00 has until 04:00
        ("01:00", "01:10", "04:00", True),
        ("01:50", "02:10", "04:00", True),  # it began before the time that it would have to be of
        ("02:00", "02:10", "04:00", False),
        ("03:59", "03:59", "04:00", False),
    ],
)
def test_a_dag_is_overdue_when_no_run_since_a_start_has_succeeded_in_time(
    started: str, finished: str, now: str, expected: bool
) -> None:
    assert is_overdue(dag(started, finished), "overdue 2h", now, HOURLY) is expected


@pytest.mark.parametrize(
    ("finished", "now", "expected"),
    [("", "02:00", False), ("", "02:01", True), ("01:00", "03:00", False), ("01:00", "03:01", True)],
)
def test_a_dag_without_a_schedule_is_overdue_without_a_success_for_that_time(
    finished: str, now: str, expected: bool
) -> None:
    assert is_overdue(dag(finished, finished), "overdue 2h", now) is expected


def test_the_time_before_the_dag_or_the_rule_was_stored_does_not_count() -> None:
    assert is_overdue(dag(), "overdue 30m", "03:00", DAILY)
    assert not is_overdue(dag(created_at=at("02:10")), "overdue 30m", "03:00", DAILY)
    assert not is_overdue(dag(), "overdue 30m", "03:00", DAILY, created="02:10")
    assert not is_overdue(dag(created_at=at("02:10")), "overdue 1h", "03:00")


def test_suspended_dags_and_those_of_no_rule_are_never_overdue() -> None:
    assert not is_overdue(dag(suspended=True), "overdue 30m", "03:00")
    assert not is_overdue(dag(), "overdue 30m", "03:00", match="other")


def test_the_shortest_limit_decides_and_the_reason_names_it() -> None:
    found = limits("overdue 3h", "overdue 30m")
    late = find_overdue(dag(), find_unmet(dag(), found, DAILY, at("02:30"), ZONE), Success())
    assert late is not None
    assert (late.due_at, late.reason) == (at("02:00"), "no run that began since then has succeeded within 30m")
    never = find_overdue(dag(), find_unmet(dag(), found, (), at("03:01"), ZONE), Success())
    assert never is not None
    assert (never.due_at, never.reason) == (None, "no run has succeeded for 30m")


def test_a_retry_of_an_older_run_counts_when_it_began_in_time() -> None:
    unmet = find_unmet(dag("01:00", "01:10"), limits("overdue 2h"), HOURLY, at("04:00"), ZONE)
    assert [is_met(unmet[0], Success(started_at=at(text))) for text in ("01:59", "02:00")] == [False, True]


@pytest.mark.parametrize(
    ("one", "match", "by"),
    [
        (dag(suspended=True), "*", "suspended"),
        (dag(), "other", "no rule"),
        (dag("03:00", "03:10"), "*", "succeeded"),
        (dag("01:00", "01:10"), "*", "in time"),  # the limit was raised, or the schedule changed
    ],
)
def test_the_end_says_why_a_dag_is_overdue_no_more(one: WatchedDag, match: str, by: str) -> None:
    success = Success(started_at=one.started_at, finished_at=one.finished_at)
    assert why_in_time(one, limits("overdue 2h", match=match), success, at("02:30")) == by


def run(**values: Any) -> WatchedRun:
    fields: dict[str, Any] = {"id": 7, "dag_name": "load", "run_id": "r1", "attempt": 2, "tags": ("etl",)}
    return WatchedRun(**(fields | {"started_at": at("01:00")} | values))


def after(seconds: float) -> datetime:
    return at("01:00") + timedelta(seconds=seconds)


def test_a_run_is_slow_at_its_limit_and_told_of_once_for_each_attempt() -> None:
    found = limits("slow 5m")
    assert find_slow(run(), found, (), after(299)) is None
    slow = find_slow(run(), found, (), after(300))
    assert slow is not None
    assert (slow.key, slow.reason) == ("slow/7/2", "running for 5m; the limit is 5m")


@pytest.mark.parametrize(
    ("durations", "seconds", "expected"),
    [
        ([1.0] * 5, 59, False),  # never below a minute
        ([1.0] * 5, 60, True),
        ([1.0] * 4, 9_000, False),  # too few
        ([100.0, 1.0, 90.0, 110.0, 5_000.0], 299, False),
        ([100.0, 1.0, 90.0, 110.0, 5_000.0], 300, True),
    ],
)
def test_a_run_is_slow_at_a_multiple_of_what_is_usual(durations: list[float], seconds: int, expected: bool) -> None:
    slow = find_slow(run(), limits("slow x3"), durations, after(seconds))
    assert (slow is not None) is expected


def test_of_a_time_and_a_multiple_the_shorter_one_decides() -> None:
    found = limits("slow 10m", "slow x3")
    slow = find_slow(run(), found, [100.0] * 5, after(300))
    assert slow is not None
    assert slow.reason == "running for 5m; 1m40s is usual, and x3 the limit"
    assert [needs_durations(run(), found, after(seconds)) for seconds in (59, 60)] == [False, True]
    assert not needs_durations(run(), limits("slow 10m"), after(900))


def test_the_first_run_of_a_queue_is_told_of_with_what_it_waits_for() -> None:
    fields: dict[str, Any] = {"queue": "q", "id": 7, "dag_name": "load", "run_id": "r1", "attempt": 1, "tags": ()}
    fields |= {"queued_at": at("01:00"), "paused_at": None, "paused_by": None}
    first = FirstRun(**fields, reason="queue 'q' is at its limit: 1 of 1 runs active (limit of the queue): other r9")
    found = limits("queued 10s", "queued 10m")
    assert find_queued(first, found, after(9)) is None
    assert find_queued(first, [], after(900)) is None
    queued = find_queued(first, found, after(10))
    assert queued is not None
    assert (queued.subject, queued.reason) == (
        "q",
        "load r1 for 10s: queue 'q' is at its limit: 1 of 1 runs active (limit of the queue)",
    )
    paused = find_queued(replace(first, paused_at=at("01:00"), paused_by="ann"), found, after(10))
    assert paused is not None
    assert paused.reason == "load r1 for 10s: the queue is paused by ann"


def test_limits_count_for_the_dags_that_their_rules_cover() -> None:
    found = limits("slow 5m", match="tag:etl")
    assert [len(covering(found, "load", tags)) for tags in (("etl",), ())] == [1, 0]


@pytest.mark.parametrize(
    ("handled", "waits", "has_schedule", "fault"),
    [
        ("00:57", None, True, ""),
        ("00:56", None, True, "no server has started what is due by schedule since 2026-03-01 00:56 UTC"),
        (None, None, True, "no server has started what is due by schedule"),
        (None, None, False, ""),
        ("01:00", "00:45", True, ""),
        ("01:00", "00:44", False, "a message is due since 2026-03-01 00:44 UTC"),
        (None, "01:30", False, ""),
    ],
)
def test_a_heartbeat_reports_schedules_that_nobody_handles_and_messages_that_wait(
    handled: str | None, waits: str | None, has_schedule: bool, fault: str
) -> None:
    health = Health(handled_at=at(handled) if handled else None, waits_since=at(waits) if waits else None)
    assert find_fault(health, at("01:00"), has_schedule=has_schedule) == fault
