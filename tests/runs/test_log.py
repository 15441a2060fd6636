"""The run's own log, rendered from its history."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.db.repositories.revisions import RunName
from dagbook.db.repositories.runs.runs import EventRow
from dagbook.runs.evaluation.environment import uses_run_log
from dagbook.runs.store.run_loading import render_log
from dagbook.spec.reading.load import load

RUN = RunName(dag_name="etl", run_id="r1")
DAG = load("steps: [{name: 'the step', command: 'true'}]\n", name="etl").definition.dag
AT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)


def _event(position: int | None = None, **data: Any) -> EventRow:
    return EventRow(seq=1, attempt=1, at=AT, position=position, data=data)


def _render(*events: EventRow, zone: Any = UTC) -> list[str]:
    return render_log(events, RUN, DAG, zone)


@pytest.mark.parametrize(
    ("zone", "time"), [(UTC, "2026-01-02T03:04:05.678Z"), (ZoneInfo("Asia/Tokyo"), "2026-01-02T12:04:05.678+09:00")]
)
def test_a_line_begins_with_time_level_and_message_and_names_the_run(zone: Any, time: str) -> None:
    (line,) = _render(_event(accepted="api"), zone=zone)
    assert line == f'time={time} level=INFO msg="run accepted" dag=etl run-id=r1 trigger=api'


def test_who_wanted_the_run_is_told() -> None:
    assert _render(_event(accepted="api", actor="ann"))[0].endswith("actor=ann")


def test_a_step_s_lines_name_it() -> None:
    lines = _render(
        _event(0, status=1, started_at="2026-01-02T03:04:05Z"), _event(0, status=2, error="bad", exit_code=3)
    )
    assert all('step="the step"' in line for line in lines)
    assert "exit-code=3" in lines[-1]


def test_the_end_of_a_failed_run_tells_the_error_that_counted() -> None:
    lines = _render(_event(error="step broke"), _event(status=2, finished_at="2026-01-02T03:04:05Z"))
    assert 'err="step broke"' in lines[-1]
    assert "level=ERROR" in lines[-1]


@given(st.text(max_size=30))
def test_one_event_is_one_line_whatever_a_text_holds(text: str) -> None:
    (line,) = _render(_event(accepted="api", actor=text or "x"))
    assert "\n" not in line
    assert line.splitlines()[0].startswith("time=")


@pytest.mark.parametrize("text", ["a b", 'say "hi"', "back\\slash", "ä", "a=b"])
def test_a_value_can_be_read_back(text: str) -> None:
    (line,) = _render(_event(accepted="api", actor=text))
    assert shlex.split(line)[-1] == f"actor={text}"


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        ("steps: [{command: cat $DAG_RUN_LOG_FILE}]", True),
        ("steps: [{script: 'tail $DAG_RUN_LOG_FILE'}]", True),
        ("steps: [{command: 'true'}]\nhandlerOn: {exit: {command: 'cat ${DAG_RUN_LOG_FILE}'}}", True),
        ("steps: [{command: 'true'}]", False),
    ],
)
def test_the_file_is_only_made_for_definitions_that_read_it(spec: str, read: bool) -> None:
    assert uses_run_log(load(spec, name="x").definition.dag) is read
