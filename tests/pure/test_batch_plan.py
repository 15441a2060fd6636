"""Which items a batch has: scheduled times of a range, what became of them, and what each begins with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from dagbook.batches.plan import BatchStep, PlannedItem, PlannedSlot, end_of, next_step, plan_runs, plan_slots, text_of
from dagbook.batches.requests import NewBatch, RunsFilter, read_selection, selectors_of
from dagbook.batches.slots import Due, DueSlot, find_due, find_slots, read_bound
from dagbook.db.repositories.batches.items import EndedItem, ItemRow
from dagbook.db.repositories.batches.selection import SelectedRun
from dagbook.db.repositories.batches.starts import StartRow
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError
from dagbook.spec.time.schedule import read_entries, read_schedule

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)
SUCCEEDED, FAILED = RunStatus.SUCCEEDED, RunStatus.FAILED


def due(expressions: Sequence[str], first: str, last: str, *, most: int = 1000, zone: ZoneInfo = BERLIN) -> list[str]:
    entries = list(read_entries(expressions))
    found = find_due(entries, read_bound(first, "from"), read_bound(last, "to"), NOW, zone, most)
    return [each.local.isoformat() for each in found]


def start(
    minute: datetime, status: RunStatus | None = None, *, outcome: Any = "started", revision: int = 2
) -> StartRow:
    run = None if status is None else minute.day
    return StartRow(
        minute=minute,
        outcome=outcome,
        run=run,
        run_name=None if run is None else f"r{run}",
        status=status,
        dag_revision=None if run is None else revision,
    )


def wanted(**options: Any) -> NewBatch:
    return msgspec.convert(
        {"action": "start", "dag": "etl", "from": "2026-03-01", "to": "2026-03-31"} | options, NewBatch
    )


def month(**starts: StartRow | None) -> list[DueSlot]:
    """The days of March at 02:00 UTC, all succeeded but those that are named."""
    days = [Due(datetime(2026, 3, day, 2, tzinfo=UTC), UTC_ZONE) for day in range(1, 32)]
    usual = {each.minute: start(each.minute, SUCCEEDED) for each in days}
    for name, row in starts.items():
        minute = days[int(name[1:]) - 1].minute
        usual.pop(minute)
        if row is not None:
            usual[minute] = msgspec.structs.replace(row, minute=minute, run_name=row.run_name and f"r{minute.day}")
    return find_slots(days, usual, {}, NOW)


# -- scheduled times -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        # 02:30 does not exist on the Sunday of spring, and occurs twice on that of autumn.
        ("2026-03-28", "2026-03-30", ["2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"]),
        (
            "2025-10-25",
            "2025-10-27",
            [
                "2025-10-25T02:30:00+02:00",
                "2025-10-26T02:30:00+02:00",
                "2025-10-26T02:30:00+01:00",
                "2025-10-27T02:30:00+01:00",
            ],
        ),
    ],
)
def test_a_range_over_a_change_of_the_clock_has_the_times_of_the_documented_rule(
    first: str, last: str, expected: list[str]
) -> None:
    assert due(["30 2 * * *"], first, last) == expected


def test_both_bounds_are_inclusive_and_days_are_those_of_the_expression() -> None:
    daily = ["CRON_TZ=Asia/Tokyo 0 0 * * *"]
    assert due(daily, "2026-03-01", "2026-03-02") == ["2026-03-01T00:00:00+09:00", "2026-03-02T00:00:00+09:00"]
    assert due(["0 * * * *"], "2026-03-01T02:00:00+01:00", "2026-03-01T03:00:00+01:00") == [
        "2026-03-01T02:00:00+01:00",
        "2026-03-01T03:00:00+01:00",
    ]


def test_several_expressions_for_one_minute_are_one_time_and_the_future_has_none() -> None:
    assert len(due(["0 2 * * *", "0 2 * * *", "*/30 2 * * *"], "2026-03-01", "2026-03-01")) == 2
    assert due(["0 2 * * *"], "2026-04-15", "2026-05-01", zone=UTC_ZONE) == ["2026-04-15T02:00:00+00:00"]


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2026-03-32", "2026-03-01", "from:"),
        ("2026-03-01T02:00:00", "2026-03-01", "from:"),
        ("2026-03-01", "tomorrow", "to:"),
        ("2026-03-02", "2026-03-01", "from: 2026-03-02 is after to, 2026-03-01"),
        ("2026-03-01", "2026-03-31", "from: there are more than 10"),
        ("1999-03-01", "2026-03-31", "from: is more than 3,660 days"),
    ],
)
def test_a_range_that_cannot_be_used_is_refused_with_its_field(first: str, last: str, field: str) -> None:
    with pytest.raises(BadRequestError, match=field):
        due(["0 2 * * *"], first, last, most=10)


def test_what_is_older_than_the_records_or_whose_run_is_gone_is_unknown() -> None:
    old, new = (Due(NOW - timedelta(days=days), UTC_ZONE) for days in (100, 10))
    gone = start(new.minute)
    assert [slot.outcome for slot in find_slots([old, new], {}, {}, NOW)] == ["unknown", "missing"]
    assert [slot.outcome for slot in find_slots([new], {new.minute: gone}, {}, NOW)] == ["unknown"]


# -- the plan --------------------------------------------------------------------------------------------------------

MIXED = {
    "d3": None,
    "d9": start(NOW, outcome="missed"),
    "d5": start(NOW, FAILED, revision=1),
    "d6": start(NOW, FAILED, revision=1),
    "d7": start(NOW, FAILED, revision=2),
}


def planned(slots: list[DueSlot], **options: Any) -> list[tuple[int, str]]:
    items = plan_slots(slots, wanted(**options), 2).items
    return [(item.slot.due.minute.day, item.step.value) for item in items if isinstance(item, PlannedSlot)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(3, "start"), (5, "again"), (6, "again"), (7, "retry"), (9, "start")]),
        ({"order": "newest"}, [(9, "start"), (7, "retry"), (6, "again"), (5, "again"), (3, "start")]),
        ({"only": "missing"}, [(3, "start"), (9, "start")]),
        ({"only": "failed", "text": "original"}, [(5, "retry"), (6, "retry"), (7, "retry")]),
        ({"only": "failed", "text": 1}, [(5, "retry"), (6, "retry"), (7, "again")]),
        ({"leaveOut": ["r5", "2026-03-03T02:00:00Z", "2026-03-09T02:00:00+00:00"]}, [(6, "again"), (7, "retry")]),
    ],
)
def test_missing_times_are_started_and_failed_ones_retried_if_their_text_is_the_one_to_run(
    options: dict[str, Any], expected: list[tuple[int, str]]
) -> None:
    plan = plan_slots(month(**MIXED), wanted(), 2)
    assert plan.outcomes == {"succeeded": 26, "failed": 3, "missing": 2}
    assert plan.steps == {BatchStep.START: 2, BatchStep.RETRY: 1, BatchStep.AGAIN: 2}
    assert planned(month(**MIXED), **options) == expected


def test_all_of_a_range_has_those_that_have_succeeded_and_none_that_runs() -> None:
    found = planned(month(d1=start(NOW, RunStatus.RUNNING), d2=start(NOW, RunStatus.QUEUED)), only="all")
    assert found == [(day, "again") for day in range(3, 32)]


def test_a_skipped_or_suspended_time_is_started_and_an_unknown_one_only_if_that_is_asked() -> None:
    some = month(d1=start(NOW, outcome="skipped"), d2=start(NOW, outcome="suspended"), d3=start(NOW))
    assert planned(some) == [(1, "start"), (2, "start")]
    assert planned(some, unknown=True) == [(1, "start"), (2, "start"), (3, "start")]


def test_a_time_that_another_open_batch_holds_is_left_out_and_named() -> None:
    slots = [msgspec.structs.replace(slot, batch=8) if slot.due.minute.day == 3 else slot for slot in month(**MIXED)]
    plan = plan_slots(slots, wanted(only="missing"), 2)
    days = [item.slot.due.minute.day for item in plan.items if isinstance(item, PlannedSlot)]
    assert (days, plan.held) == ([9], {8: 1})


# -- runs ------------------------------------------------------------------------------------------------------------


def selected(number: int, status: RunStatus = FAILED, **values: Any) -> SelectedRun:
    usual = {"dag_name": "etl", "dag_revision": 1, "dag_id": 7, "file_name": "etl", "current": 2, "minute": None}
    row = {"id": number, "run_id": f"r{number}", "status": status, "batch": None, **usual, **values}
    return SelectedRun(**row)


def of_runs(action: str, **options: Any) -> NewBatch:
    usual = {"action": action, "filter": {"status": 2}, "reason": "x"}
    return msgspec.convert(usual | options, NewBatch)


@pytest.mark.parametrize(
    ("action", "options", "expected"),
    [
        ("again", {}, ["1 again", "2 again"]),
        ("again", {"text": "original"}, ["1 again", "2 again", "3 again"]),
        ("again", {"order": "newest"}, ["2 again", "1 again"]),
        ("again", {"leaveOut": ["r1"]}, ["2 again"]),
        ("again", {"leaveOut": ["etl/r2", "other/r1"]}, ["1 again"]),
        ("retry", {}, ["1 again", "2 retry", "3 retry"]),
        ("retry", {"text": "original"}, ["1 retry", "2 retry", "3 retry"]),
        ("retry", {"text": 1}, ["1 retry", "2 again", "3 retry"]),
        ("delete", {}, ["1 delete", "2 delete", "3 delete", "4 delete"]),
    ],
)
def test_runs_are_done_again_or_retried_by_their_texts_and_those_of_open_batches_left_out(
    action: str, options: dict[str, Any], expected: list[str]
) -> None:
    found = [
        selected(1),
        selected(2, dag_revision=2),
        selected(3, dag_id=None, file_name=None, current=None),  # of a text that is not stored
        selected(4, batch=8),
    ]
    plan = plan_runs(found, of_runs(action, **options))
    items = [item for item in plan.items if isinstance(item, PlannedItem)]
    assert [f"{item.run.id} {item.step}" for item in items] == expected
    assert plan.held == ({} if action == "delete" else {8: 1})
    assert bool(plan.warnings) == (action == "again" and "text" not in options)


def test_what_may_give_a_scheduled_time_another_run_holds_that_time() -> None:
    again, delete = (PlannedItem(selected(1, minute=NOW), step) for step in (BatchStep.AGAIN, BatchStep.DELETE))
    assert (again.item(1, 1, "UTC").minute, again.item(1, 1, "UTC").zone) == (NOW, "UTC")
    assert (delete.item(1, 1, "UTC").minute, delete.item(1, 1, "UTC").zone) == (None, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"revision": 9}, {"revisions": (9, 9)}),
        ({"revision": "9..10"}, {"revisions": (9, 10)}),
        ({"secret": "crm/token@4"}, {"secret": "crm/token", "version": 4}),
        ({"secret": "crm/token"}, {"secret": "crm/token", "version": None}),
        ({"secret": "me@host"}, {"secret": "me@host", "version": None}),
        ({"tag": " A "}, {"tags": ("a",)}),
        ({"param": ["A=1", "B=x=y"]}, {"params": (("A", "1"), ("B", "x=y"))}),
        ({"minDuration": "5m", "maxDuration": "600"}, {"shortest_seconds": 300.0, "longest_seconds": 600.0}),
        ({"fromDate": 0, "toDate": 60}, {"since": datetime(1970, 1, 1, tzinfo=UTC)}),
    ],
)
def test_a_filter_is_read(given: dict[str, Any], expected: dict[str, Any]) -> None:
    selection = read_selection(msgspec.convert(given, RunsFilter), "etl", ())
    assert {name: getattr(selection, name) for name in expected} == expected
    assert (selection.name, selection.name_part, selection.sub_runs) == ("etl", None, "exclude")


def test_filters_that_differ_in_their_period_alone_are_the_same() -> None:
    asked = [of_runs("again", filter={"param": "A=1", "fromDate": at}).asked for at in (1, 2)]
    assert selectors_of(asked[0]) == selectors_of(asked[1]) == {"param": "A=1"}
    assert selectors_of(of_runs("again", dag="etl.yaml").asked) == {"dag": "etl", "status": 2}


# -- when an item begins and ends ------------------------------------------------------------------------------------

ITEM = ItemRow(
    batch_id=1, place=1, dag_id=1, minute=NOW, zone="UTC", source_run=4, run_id=None, attempt=None, why=None
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "revision", "all_again", "expected"),
    [
        (None, 1, False, BatchStep.START),
        (RunStatus.RUNNING, 1, False, "its run is running"),
        (RunStatus.SUCCEEDED, 1, False, "its run has succeeded meanwhile"),
        (RunStatus.SUCCEEDED, 1, True, BatchStep.AGAIN),
        (RunStatus.FAILED, 1, False, BatchStep.RETRY),
        (RunStatus.ABORTED, 2, False, BatchStep.AGAIN),
        (RunStatus.FAILED, None, False, BatchStep.RETRY),
    ],
)
def test_an_item_begins_by_what_its_run_is_by_then(
    status: RunStatus | None, revision: int | None, all_again: bool, expected: str
) -> None:
    columns: dict[str, Any] = dict.fromkeys(RunRow.__struct_fields__) | {"dag_revision": 1}
    run = None if status is None else RunRow(**(columns | {"status": status}))
    assert next_step(ITEM, run, revision, all_again=all_again).startswith(expected)


def test_a_recalled_run_is_never_retried_in_place_but_the_run_that_replaced_it_is() -> None:
    columns: dict[str, Any] = dict.fromkeys(RunRow.__struct_fields__) | {"dag_revision": 1}
    run = RunRow(**(columns | {"status": FAILED}))
    assert next_step(ITEM, run, 1, all_again=False, action="again") == BatchStep.AGAIN
    begun = msgspec.structs.replace(ITEM, run_id=5)
    assert next_step(begun, run, 1, all_again=False, action="again") == BatchStep.RETRY


def test_an_item_about_a_run_that_was_deleted_is_left_out() -> None:
    recalled = msgspec.structs.replace(ITEM, minute=None, zone=None, source_run=None)
    assert next_step(recalled, None, 1, all_again=False, action="again") == "its run was deleted"


def test_an_item_ends_as_its_run_does() -> None:
    def end(status: RunStatus | None, error: str | None = None) -> tuple[str, str | None]:
        return end_of(EndedItem(place=1, minute=None, zone=None, run_id=1, status=status, error=error))

    assert end(RunStatus.SUCCEEDED) == end(RunStatus.PARTIALLY_SUCCEEDED) == ("done", None)
    assert end(RunStatus.FAILED, "a: exit status 1\nmore") == ("failed", "a: exit status 1")
    assert end(RunStatus.ABORTED) == ("failed", "aborted")
    assert end(None) == ("failed", "its run was dequeued or deleted")


def test_the_text_of_a_batch_is_the_current_one_a_revision_or_that_of_each_run() -> None:
    assert [text_of(text, 7) for text in ("current", 3, "original")] == [7, 3, None]
    assert isinstance(read_bound("2026-03-01", "from"), date)


@pytest.mark.parametrize("zone", ["-12:00", "+14:00"])
def test_the_first_and_the_last_day_that_may_be_asked_for_are_times_in_every_zone(zone: str) -> None:
    entries, berlin = read_schedule("schedule: '0 2 * * *'").start, ZoneInfo("Europe/Berlin")
    for first, last in (("1970-01-01", f"1970-01-02T00:00:00{zone}"), (f"9998-12-30T00:00:00{zone}", "9998-12-31")):
        find_due(entries, read_bound(first, "from"), read_bound(last, "to"), NOW, berlin, 9)
    for text in ("1969-12-31", "9999-01-01", f"9999-12-31T23:59:59{zone}"):
        with pytest.raises(BadRequestError, match=r"^to: .* is no day"):
            read_bound(text, "to")
