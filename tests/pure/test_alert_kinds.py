"""What rules name of kinds, with their limits, and what people are told of each."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest

from dagbook.alerts.kinds import Kind, NamedKind, names, parse_kind
from dagbook.alerts.texts import Line, describe, title
from tests.pure.test_alert_texts import LATER, NOW, notice


@pytest.mark.parametrize(
    ("written", "kind", "stored"),
    [
        ("failed", NamedKind(Kind.FAILED), "failed"),
        (" Missed ", NamedKind(Kind.MISSED), "missed"),
        ("overdue 120m", NamedKind(Kind.OVERDUE, 7200), "overdue 2h"),
        ("overdue  1h30m", NamedKind(Kind.OVERDUE, 5400), "overdue 1h30m"),
        ("slow 5s", NamedKind(Kind.SLOW, 5), "slow 5s"),
        ("slow x3", NamedKind(Kind.SLOW, factor=3.0), "slow x3"),
        ("slow X1.5", NamedKind(Kind.SLOW, factor=1.5), "slow x1.5"),
        ("queued 10m", NamedKind(Kind.QUEUED, 600), "queued 10m"),
    ],
)
def test_a_kind_is_stored_with_its_limit_in_one_form(written: str, kind: NamedKind, stored: str) -> None:
    assert (parse_kind(written), str(parse_kind(written)), parse_kind(stored)) == (kind, stored, kind)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("limit", "is no kind of alert; write one of failed, partial,"),
        ("pigeon", "is no kind of alert"),
        ("", "is no kind of alert"),
        ("failed 2h", "has a time, which failed does not take; write failed alone"),
        ("overdue", "has no time of at least 20 s; write one as in `overdue 2h`"),
        ("overdue 19s", "has no time of at least 20 s"),
        ("overdue 9000h", "has no time of at least 20 s"),
        ("overdue x3", "has no time of at least 20 s"),
        ("slow x1", "has no time of at least 1 s; write one as in `slow 10m` or `slow x3`"),
        ("slow x3 5m", "has no time of at least 1 s"),
        ("queued -5s", "has no time of at least 1 s"),
        ("queued 0.5s", "has no time of at least 1 s"),
    ],
)
def test_another_text_is_refused_with_what_to_write(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"is no kind|has") as refused:
        parse_kind(written)
    assert reason in str(refused.value)


def test_a_rule_names_a_kind_with_any_limit() -> None:
    assert [names(("failed", "slow x3"), kind) for kind in (Kind.FAILED, Kind.SLOW, Kind.OVERDUE)] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("kind", "subject", "values", "text"),
    [
        (
            *(Kind.MISSED, "nightly", {"reason": "no server ran then", "due_at": NOW - timedelta(minutes=10)}),
            "nightly missed a start at 2026-03-01 02:10:03+00:00 (due 2026-03-01 02:00:03+00:00: no server ran then)",
        ),
        (
            *(Kind.OVERDUE, "nightly", {"reason": "no run has succeeded for 2h", "closed_at": LATER}),
            (
                "nightly is overdue at 2026-03-01 02:10:03+00:00 (no run has succeeded for 2h), and succeeded at "
                "2026-03-01 02:40:03+00:00 after 1 missed deadline"
            ),
        ),
        (
            *(Kind.QUEUED, "q", {"reason": "load r1 for 10s: the queue is paused by ann"}),
            "queue q has a waiting run at 2026-03-01 02:10:03+00:00 (load r1 for 10s: the queue is paused by ann)",
        ),
        (
            *(Kind.SERVER, "server on db-2", {"purpose": "closed", "closed_at": LATER, "count": 2}),
            (
                "server on db-2 is alive again at 2026-03-01 02:40:03+00:00, after 2 failures since "
                "2026-03-01 02:10:03+00:00"
            ),
        ),
        (
            *(Kind.TRIGGER, "push", {"reason": "the body is not JSON"}),
            "trigger push failed at 2026-03-01 02:10:03+00:00 (the body is not JSON)",
        ),
        (
            *(Kind.SLOW, "load", {"purpose": "reminder"}),
            "load is slow: 1 slow run since 2026-03-01 02:10:03+00:00",
        ),
    ],
)
def test_a_line_names_the_subject_and_the_reason(kind: Kind, subject: str, values: dict[str, Any], text: str) -> None:
    given = {"kind": kind, "subject_kind": kind.about, "subject": subject, "error": "", "run": None} | values
    assert describe(notice(**given), UTC) == text


def test_a_title_says_what_is_meant_by_a_name() -> None:
    shown = notice(kind=Kind.CHANNEL, subject_kind="channel", subject="ops")
    assert title([Line("line")], [shown]) == "channel ops does not work"
