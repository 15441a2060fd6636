"""Which rules cover a DAG, and whom they tell of an event when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dagbook.alerts.kinds import Kind
from dagbook.alerts.routing import (
    check_word,
    closing_due,
    excludes_only,
    find_covering,
    find_reasons,
    judge,
    opens,
    plan,
    single_name,
)
from dagbook.db.repositories.alerts.rules import RuleRow, TargetRow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILED = ("failed",)


def target(number: int = 1, **values: Any) -> TargetRow:
    fields: dict[str, Any] = {"channel_id": number, "channel": f"channel {number}", "type": "slack", "enabled": True}
    return TargetRow(**(fields | values))


def rule(*match: str, **values: Any) -> RuleRow:
    fields: dict[str, Any] = {
        "id": 1,
        "name": "all",
        "match": match,
        "kinds": FAILED,
        "targets": (target(),),
        "after": 1,
    }
    fields |= {"remind_seconds": 0, "quiet": None, "enabled": True, "configured": False, "tells_success": False}
    return RuleRow(**(fields | {"dag_id": None, "dag_name": None, "created_at": NOW} | values))


@pytest.mark.parametrize(
    ("match", "name", "tags", "covers", "word"),
    [
        (("*",), "nightly", (), True, "*"),
        (("*", "!play-*"), "play-1", (), False, "!play-*"),
        (("!play-*", "*"), "play-1", (), False, "!play-*"),
        (("*", "!play-*"), "plays", (), True, "*"),
        (("tag:billing",), "x", ("billing", "daily"), True, "tag:billing"),
        (("tag:billing",), "billing", (), False, ""),
        (("*", "!tag:test"), "x", ("test",), False, "!tag:test"),
        (("night?y",), "nightly", (), True, "night?y"),
        (("Nightly",), "nightly", (), False, ""),
        (("a", "b*"), "bill", (), True, "b*"),
        ((), "a", (), False, ""),
    ],
)
def test_a_word_that_excludes_counts_more_than_those_that_name(
    match: tuple[str, ...], name: str, tags: tuple[str, ...], covers: bool, word: str
) -> None:
    assert judge(match, name, tags) == (covers, word)


def test_rules_add_up_and_none_shuts_off_another() -> None:
    rules = [rule("*", "!play-*", name="all"), rule("play-*", name="games"), rule("tag:x", name="tagged")]
    told = {
        name: [each.name for each in find_covering(rules, name, tags)]
        for name, tags in {"nightly": (), "play-1": (), "play-2": ("x",), "other": ("x",)}.items()
    }
    expected = {"nightly": ["all"], "play-1": ["games"], "play-2": ["games", "tagged"], "other": ["all", "tagged"]}
    assert told == expected


def test_the_reason_names_the_word_and_its_rule() -> None:
    assert find_reasons([rule("*", "!play-*"), rule("etl")], "play-1", ()) == ["'!play-*' of the rule all excludes it"]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("*", "*"),
        (" !play-* ", "!play-*"),
        ("tag: Billing ", "tag:billing"),
        ("!tag:x", "!tag:x"),
        ("tag:a=b", "tag:a=b"),
    ],
)
def test_words_are_stored_as_they_are_compared(written: str, stored: str) -> None:
    assert check_word(written) == stored


@pytest.mark.parametrize(
    "word", ["", "!", "a b", "[a]", "tag:", "!tag: ", "tag:\0", "x" * 65, "!!a", "tag:" + "x" * 257]
)
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is no "):
        check_word(word)


def test_a_single_name_and_words_that_exclude_only() -> None:
    names = [single_name(match) for match in (["a"], ["a", "b"], ["a*"], ["!a"], ["tag:a"], [])]
    assert names == ["a", *[""] * 5]
    assert [excludes_only(match) for match in (["!a"], ["!a", "b"], [])] == [True, False, True]


def test_a_channel_of_two_rules_is_told_once_at_its_earliest() -> None:
    late, pager = target(delay_seconds=60), target(2, delay_seconds=900)
    for rules in ([rule("*", targets=(late, pager)), rule("a")], [rule("a"), rule("*", targets=(late, pager))]):
        due = {each.target.channel_id: each.due_at - NOW for each in plan(rules, Kind.FAILED, 1, NOW)}
        assert due == {1: timedelta(0), 2: timedelta(minutes=15)}


def test_nobody_is_told_before_the_number_of_the_rule_or_of_other_kinds_or_by_a_disabled_channel() -> None:
    rules = [rule("*", after=2)]
    assert [len(plan(rules, Kind.FAILED, count, NOW)) for count in (1, 2, 3)] == [0, 1, 1]
    assert plan(rules, Kind.ABORTED, 9, NOW) == []
    assert plan([rule("*", targets=(target(enabled=False),))], Kind.FAILED, 1, NOW) == []


def test_the_number_of_a_rule_does_not_hold_back_what_is_one_event_however_long_it_lasts() -> None:
    rules = [rule("*", kinds=("overdue 2h", "missed"), after=2)]
    assert [len(plan(rules, kind, 1, NOW)) for kind in (Kind.OVERDUE, Kind.MISSED)] == [1, 0]


def test_a_ping_is_told_successes_that_its_rule_does_not_name() -> None:
    rules = [rule("*", targets=(target(), target(2, type="ping")))]
    told = {
        kind: [each.target.channel_id for each in plan(rules, kind, 1, NOW)] for kind in (Kind.FAILED, Kind.SUCCEEDED)
    }
    assert told == {Kind.FAILED: [1, 2], Kind.SUCCEEDED: [2]}


def test_a_partial_success_opens_an_alert_where_failures_are_told_of_too() -> None:
    both, partial = ("failed", "partial"), ("partial",)
    assert [opens(Kind.PARTIAL, [rule("*", kinds=kinds)]) for kinds in (both, partial)] == [True, False]
    assert [kind for kind in Kind if opens(kind, [])] == [
        *(Kind.FAILED, Kind.WAITING, Kind.MISSED, Kind.OVERDUE, Kind.SLOW, Kind.QUEUED, Kind.SERVER, Kind.CHANNEL),
        *(Kind.TRIGGER, Kind.LIMIT),
    ]


def test_an_end_is_told_at_once_unless_all_rules_are_quiet() -> None:
    quiet = rule("*", quiet="10:00-13:00")
    assert closing_due([quiet], 1, NOW) == NOW + timedelta(hours=1)
    assert closing_due([quiet, rule("*")], 1, NOW) == NOW
    assert closing_due([], 1, NOW) == NOW
