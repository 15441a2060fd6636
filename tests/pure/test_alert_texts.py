"""What people and programs are told of an alert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dagbook.alerts.kinds import Kind
from dagbook.alerts.texts import Line, Notice, RunFacts, clean, describe, describe_all, first_line, title

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
    assert [(line.text.split()[0], line.url) for line in lines] == [("nightly", RUN.url), ("other", RUN.url)]


def test_a_title_is_one_line() -> None:
    assert title([Line("a")], [notice(subject=HOSTILE)]).isprintable()
    assert title([Line("a")], [notice("closed", closed_at=LATER)]) == "nightly succeeded"
    assert title([Line("a"), Line("b")], [notice(), notice()]) == "2 alerts"


def test_texts_of_others_are_one_short_line() -> None:
    assert clean(HOSTILE).isprintable()
    assert len(clean("x" * 999)) == 300
    assert first_line("exit status 1\nthe end of what it printed") == "exit status 1"
