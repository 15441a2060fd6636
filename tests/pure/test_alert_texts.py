"""What people and programs are told of an alert."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dagbook.alerts import texts
from dagbook.alerts.kinds import Kind, parse_kind
from dagbook.alerts.texts import Notice, RunFacts, clean, describe, describe_all, first_line, title

NOW = datetime(2026, 3, 1, 2, 10, 3, tzinfo=UTC)
LATER = NOW + timedelta(minutes=30)
RUN = RunFacts(
    run_id="r1",
    attempt=1,
    status="failed",
    started_at=NOW,
    finished_at=LATER,
    failed_step="load",
    url="https://dagbook.example.org/dag-runs/nightly/r1",
)
HOSTILE = "<!channel> @everyone *bold* <https://evil.example|ok>\n\x1b[31mred\r\nBcc: x"


def notice(purpose: Any = "opened", **values: Any) -> Notice:
    fields = {
        "delivery_id": "d1",
        "purpose": purpose,
        "alert_id": 7,
        "kind": Kind.FAILED,
        "subject_kind": "dag",
        "subject": "nightly",
        "count": 1,
        "opened_at": NOW,
        "last_at": NOW,
        "error": "exit status 1",
        "run": RUN,
    }
    return Notice(**(fields | values))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (notice(), "nightly failed at 2026-03-01 02:10:03+00:00 (step load: exit status 1)"),
        (
            notice(closed_at=LATER, count=3),
            (
                "nightly failed at 2026-03-01 02:10:03+00:00 (step load: exit status 1), and succeeded at "
                "2026-03-01 02:40:03+00:00 after 3 failures"
            ),
        ),
        (
            notice("closed", closed_at=LATER, count=3),
            "nightly succeeded at 2026-03-01 02:40:03+00:00, after 3 failures since 2026-03-01 02:10:03+00:00",
        ),
        (
            notice("closed", closed_at=LATER),
            "nightly succeeded at 2026-03-01 02:40:03+00:00, after 1 failure since 2026-03-01 02:10:03+00:00",
        ),
        (
            notice("closed", closed_at=LATER, ended="was deleted", kind=Kind.PARTIAL, count=2),
            (
                "nightly was deleted at 2026-03-01 02:40:03+00:00, after 2 partial successes since "
                "2026-03-01 02:10:03+00:00"
            ),
        ),
        (notice("reminder", count=4), "nightly failed: 4 failures since 2026-03-01 02:10:03+00:00"),
        (
            notice(kind=Kind.ABORTED, closed_at=NOW, is_told_once=True, error="", run=None),
            "nightly was aborted at 2026-03-01 02:10:03+00:00",
        ),
        (
            notice("test", alert_id=None, run=None, error="this is a test"),
            "test: nightly failed at 2026-03-01 02:10:03+00:00 (this is a test)",
        ),
    ],
)
def test_the_line_about_an_alert(given: Notice, text: str) -> None:
    assert describe(given, UTC) == text


def test_an_alert_that_has_ended_before_it_was_told_is_told_of_once() -> None:
    opened, closed = notice(closed_at=LATER), notice("closed", closed_at=LATER)
    other = notice("closed", alert_id=8, subject="other", closed_at=LATER)
    lines = describe_all([opened, closed, other], UTC)
    assert [line.split()[0] for line in lines] == ["nightly", "other"]
    assert lines[0].endswith(RUN.url)


def test_one_message_names_a_hundred_alerts_and_counts_the_others() -> None:
    lines = describe_all([notice(alert_id=number, subject=f"dag-{number}") for number in range(130)], UTC)
    assert (len(lines), lines[-1]) == (101, "and 30 more")


def test_a_title_is_one_line() -> None:
    assert title(["a"], [notice(subject=HOSTILE)]).isprintable()
    assert title(["a"], [notice("closed", closed_at=LATER)]) == "nightly succeeded"
    assert title(["a", "b"], [notice(), notice()]) == "2 alerts"


def test_texts_of_others_are_one_short_line() -> None:
    assert clean(HOSTILE).isprintable()
    assert len(clean("x" * 999)) == 300
    assert first_line("exit status 1\nthe end of what it printed") == "exit status 1"


def test_nothing_in_a_message_to_slack_is_markup() -> None:
    body = json.loads(texts.slack([notice(error=HOSTILE)], UTC))
    assert "<" not in body["text"]
    assert "&lt;!channel&gt;" in body["text"]
    assert "\n" not in body["text"]
    assert body["mrkdwn"] is False


def test_a_mail_escapes_what_it_shows() -> None:
    mail = texts.mail([notice(error="<b>x</b> & more")], UTC)
    assert mail.subject == "nightly failed"
    assert "<b>" not in mail.html
    assert "&lt;b&gt;x&lt;/b&gt; &amp; more" in mail.html
    assert "<b>x</b> & more" in mail.text


def test_the_body_of_a_webhook() -> None:
    body = json.loads(texts.webhook(notice(count=2), LATER))
    assert body == {
        "type": "alert.opened",
        "timestamp": "2026-03-01T02:40:03.000Z",
        "data": {
            "alert": {
                "id": 7,
                "kind": "failed",
                "subject": "nightly",
                "count": 2,
                "openedAt": "2026-03-01T02:10:03.000Z",
                "closedAt": None,
            },
            "dag": "nightly",
            "run": {
                "dagRunId": "r1",
                "attempt": 1,
                "status": "failed",
                "startedAt": "2026-03-01T02:10:03.000Z",
                "finishedAt": "2026-03-01T02:40:03.000Z",
                "error": "exit status 1",
                "failedStep": "load",
                "url": RUN.url,
            },
        },
    }


def test_the_types_of_messages_and_their_size() -> None:
    types = [texts.type_of(notice(purpose)) for purpose in ("opened", "reminder", "closed", "test")]
    assert types == ["alert.opened", "alert.reminded", "alert.closed", "alert.test"]
    assert texts.type_of(notice(is_told_once=True)) == "alert.told"
    huge = notice(subject="\u20ac" * 5_000, error="\u20ac" * 50_000)
    assert len(texts.webhook(huge, NOW)) < 20_000


def test_other_kinds_are_refused_with_those_that_there_are() -> None:
    assert parse_kind(" Failed ") is Kind.FAILED
    with pytest.raises(ValueError, match="is no kind of alert"):
        parse_kind("limit")  # which the server opens by itself
    with pytest.raises(ValueError, match="is no kind of alert; write one of failed, partial"):
        parse_kind("sometimes")
