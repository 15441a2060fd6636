"""Answers of API v2 become the records of a home."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dagbook.transfer import remote
from dagbook.transfer.layout import RecordError

DETAILS: dict[str, Any] = {
    "name": "etl",
    "dagRunId": "r",
    "rootDAGRunName": "etl",
    "rootDAGRunId": "r",
    "status": 4,
    "params": "A=1 B=x y 3=z",
    "startedAt": "2031-05-01T08:00:01Z",
    "finishedAt": "2031-05-01T08:00:02Z",
    "nodes": [
        {
            "step": {"name": "one", "commands": [{"command": "echo", "args": ["1"]}], "output": "MY_OUT"},
            "status": 4,
            "startedAt": "2031-05-01T08:00:01Z",
            "stdout": "/x/one.log",
            "stderr": "/x/one.log",
            "subRuns": [{"dagRunId": "a"}],
            "subRunsRepeated": [{"dagRunId": "b", "params": "X=1"}],
        },
        {"step": {"name": "two", "call": "child", "params": "X=1"}, "status": 0, "startedAt": "-", "stdout": ""},
    ],
    "onExit": {"step": {"name": "onExit"}, "status": 4},
}


def test_details_become_a_status() -> None:
    found = remote.status_of(DETAILS, {"queuedAt": "2031-05-01T08:00:00Z"}, {"myOut": "x"}, "/runs/r")
    one, two = found.nodes or []
    assert (found.status, found.params_list, found.queued_at) == (4, ["A=1", "B=x y", "3=z"], "2031-05-01T08:00:00Z")
    assert (one.stdout, one.stderr) == ("/runs/r\none\nstdout", "")  # merged output is read once
    assert one.output_variables == {"MY_OUT": "MY_OUT=x"}
    assert (two.stdout, two.step.child_dag and two.step.child_dag.name) == ("", "child")
    assert found.on_exit is not None
    assert remote.opened_at(found) == datetime(2031, 5, 1, 8, tzinfo=UTC)
    assert list(remote.called_by(DETAILS)) == ["a", "b"]


@pytest.mark.parametrize("broken", [{"nodes": 7}, {"nodes": [7]}, {"status": "4"}, {"nodes": [{}]}, {"name": 1}])
def test_what_is_no_run_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        remote.status_of(DETAILS | broken, {}, {}, "/runs/r")


@pytest.mark.parametrize(("text", "expected"), [("", []), ("plain", ["plain"]), ("1=a b 2=c=d", ["1=a b", "2=c=d"])])
def test_params_are_split_before_their_names(text: str, expected: list[str]) -> None:
    assert remote.split_params(text) == expected
