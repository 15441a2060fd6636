"""Durations as the command line prints them."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.cli.runs import duration

START, END = "2026-03-01T12:30:15Z", "2026-03-01T12:30:16Z"


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ({"startedAt": START, "finishedAt": END, "startedAtMillis": 999, "finishedAtMillis": 1103}, "0:00:00.104"),
        ({"startedAt": START, "finishedAt": END, "startedAtMillis": 0, "finishedAtMillis": 61_005}, "0:01:01.005"),
        ({"startedAt": START, "finishedAt": END}, "0:00:01"),  # a list has whole seconds
        ({"startedAt": START, "finishedAt": "-"}, "-"),
        ({"startedAt": "", "finishedAt": ""}, "-"),
    ],
)
def test_a_duration_is_as_precise_as_the_times_of_the_response(run: dict[str, Any], text: str) -> None:
    assert duration(run) == text
