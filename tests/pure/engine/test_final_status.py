"""The truth table: how the ends of the steps add up to the end of the run."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.engine import rules
from dagbook.engine.event import ABORT, FAILURE, SUCCESS
from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from tests.pure.engine.world import LETTERS, START

STATUSES = {letter: status for status, letter in LETTERS.items()}
STOP = {"cancelled": True, "stop_asked_at": START}


def nodes(letters: str) -> list[NodeState]:
    """T is a failure that continueOn covers."""
    return [
        NodeState(status=NodeStatus.FAILED, tolerated=True) if letter == "T" else NodeState(status=STATUSES[letter])
        for letter in letters
    ]


@pytest.mark.parametrize(
    ("letters", "run", "status"),
    [
        ("SS", {}, "succeeded"),
        ("KK", {}, "succeeded"),
        ("SK", {}, "succeeded"),
        ("", {}, "succeeded"),
        ("SF", {"error": "x"}, "failed"),
        ("FAS", {"error": "x"}, "failed"),
        ("T", {"error": "x"}, "failed"),
        ("TT", {"error": "x"}, "failed"),
        ("TK", {"error": "x"}, "failed"),
        ("TS", {"error": "x"}, "partially_succeeded"),
        ("TSF", {"error": "x"}, "failed"),
        ("P", {}, "partially_succeeded"),
        ("PS", {}, "partially_succeeded"),
        ("TP", {"error": "x"}, "partially_succeeded"),
        ("SS", {"error": "x"}, "failed"),
        ("AN", STOP, "aborted"),
        ("SN", STOP, "aborted"),
        ("SF", STOP, "aborted"),
        ("SK", STOP, "succeeded"),
        ("P", STOP, "partially_succeeded"),
        ("SS", {"cancelled": True}, "aborted"),
        ("NN", {"cancelled": True}, "aborted"),
        ("", {"cancelled": True}, "succeeded"),
        ("", {"cancelled": True, "error": "the init handler failed"}, "failed"),
        ("", STOP, "succeeded"),
        ("AA", {"timed_out": True, "error": "x"}, "failed"),
        ("TSA", {"timed_out": True, "error": "x"}, "failed"),
        ("SA", {"timed_out": True, **STOP}, "aborted"),
    ],
)
def test_a_run_ends_as_its_steps_did(letters: str, run: dict[str, Any], status: str) -> None:
    assert rules.final_status(RunState(**run), nodes(letters)).label == status


@pytest.mark.parametrize(
    ("letters", "before", "status"),
    [
        ("SF", RunStatus.FAILED, "failed"),
        ("SA", RunStatus.FAILED, "failed"),
        ("SA", RunStatus.ABORTED, "aborted"),
        ("SN", RunStatus.ABORTED, "aborted"),
        ("FN", RunStatus.ABORTED, "failed"),
        ("TA", RunStatus.ABORTED, "aborted"),
        ("TS", RunStatus.FAILED, "partially_succeeded"),
        ("SS", RunStatus.FAILED, "succeeded"),
    ],
)
def test_a_retried_step_does_not_undo_what_others_left_undone(letters: str, before: RunStatus, status: str) -> None:
    assert rules.final_status(RunState(only=0, status_before=before), nodes(letters)).label == status


@pytest.mark.parametrize(
    ("outcome", "key"),
    [
        (RunStatus.SUCCEEDED, SUCCESS),
        (RunStatus.PARTIALLY_SUCCEEDED, SUCCESS),
        (RunStatus.FAILED, FAILURE),
        (RunStatus.ABORTED, ABORT),
    ],
)
def test_each_outcome_has_its_handler(outcome: RunStatus, key: int) -> None:
    assert rules.outcome_handler(outcome) == key
