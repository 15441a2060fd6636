"""Durations as the command line prints them, and times as it reads them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dagbook.api.schemas.runs import DAGRunSummary, Node
from dagbook.cli.commands import read_end
from dagbook.cli.output import format_duration
from dagbook.cli.runs.lookup import duration, status_of

START, END = "2026-03-01T12:30:15Z", "2026-03-01T12:30:16Z"
SHOWN = Path(__file__).parent.parent / "web" / "js" / "shown_durations.json"  # the web UI is tested with it, too
STATUS = {"status": 1, "statusLabel": "running"}
NODE = {"step": {"name": "a"}, "retryCount": 0, "doneCount": 1, "stdout": "", "stderr": "", **STATUS}
NAMES = {"name": "etl", "dagRunId": "r", "rootDAGRunName": "etl", "rootDAGRunId": "r", "log": ""}
WAITING = {"since": START, "prompt": "", "input": [], "required": []}


def test_a_duration_is_written_as_in_the_web_ui() -> None:
    shown = json.loads(SHOWN.read_text())
    assert [format_duration(seconds) for seconds, _ in shown] == [text for _, text in shown]
    assert format_duration(None) == "-"


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ({"startedAt": START, "finishedAt": END, "startedAtMillis": 999, "finishedAtMillis": 1103}, "104 ms"),
        ({"startedAt": START, "finishedAt": END}, "1.0 s"),  # of a server of before
        ({"startedAt": START, "finishedAt": "-"}, "-"),
        ({"startedAt": "", "finishedAt": ""}, "-"),
    ],
)
def test_a_duration_is_as_precise_as_the_times_of_the_response(times: dict[str, Any], text: str) -> None:
    assert duration(msgspec.convert({**NODE, **times}, Node)) == text
    assert duration(msgspec.convert({**NAMES, **STATUS, **times}, DAGRunSummary)) == text


def test_what_waits_for_an_approval_is_not_called_running() -> None:
    times = {"startedAt": START, "finishedAt": ""}
    node = msgspec.convert({**NODE, **times, "waiting": WAITING}, Node)
    run = msgspec.convert({**NAMES, **STATUS, **times}, DAGRunSummary)
    assert [status_of(node), status_of(run)] == ["waiting for approval", "running"]
    run.waiting_for_approval = True
    assert status_of(run) == "waiting for approval"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("06:00", "2026-03-02T06:00:00+01:00"),
        ("6:00", "2026-03-02T06:00:00+01:00"),
        ("14:00", "2026-03-02T14:00:00+01:00"),  # it is that time now: the next one
        ("14:01", "2026-03-01T14:01:00+01:00"),
        ("2026-03-29T06:00", "2026-03-29T06:00:00+02:00"),  # the day of a change of clocks
        ("2026-03-01T20:00:00Z", "2026-03-01T21:00:00+01:00"),
    ],
)
def test_an_end_is_the_next_time_of_day_in_the_zone_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert read_end(text, datetime(2026, 3, 1, 13, tzinfo=UTC).astimezone()).isoformat() == expected
    finally:
        monkeypatch.undo()
        time.tzset()
