"""Durations as the command line prints them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dagbook.api.schemas.runs import Node
from dagbook.cli.runs.lookup import duration

START, END = "2026-03-01T12:30:15Z", "2026-03-01T12:30:16Z"


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ({"startedAt": START, "finishedAt": END, "startedAtMillis": 999, "finishedAtMillis": 1103}, "0:00:00.104"),
        ({"startedAt": START, "finishedAt": END, "startedAtMillis": 0, "finishedAtMillis": 61_005}, "0:01:01.005"),
        ({"startedAt": START, "finishedAt": END}, "0:00:01"),  # a list has whole seconds
        ({"startedAt": START, "finishedAt": "-"}, "-"),
        ({"startedAt": "", "finishedAt": ""}, "-"),
    ],
)
def test_a_duration_is_as_precise_as_the_times_of_the_response(times: dict[str, Any], text: str) -> None:
    status = {"status": 4, "statusLabel": "succeeded", "retryCount": 0, "doneCount": 1, "stdout": "", "stderr": ""}
    assert duration(msgspec.convert({"step": {"name": "a"}, **status, **times}, Node)) == text
