"""The truth table: how the ends of the steps add up to the end of the run."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.engine import rules
from dagbook.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS
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


UNMET = ("another condition was not met", 'condition not met: expected "7", but the value is "5"', "")


@pytest.mark.parametrize(
    ("status", "error", "key", "conditions", "text"),
    [
        ("failed", "secret A: is not set\n", None, (), "secret A: is not set"),
        ("failed", "exit status 3", 0, (), ""),
        ("failed", "exit status 3", EXIT, (), ""),
        ("aborted", "", None, (), ""),
        ("aborted", "exit status 3", INIT, (), "the init handler failed: exit status 3"),
        ("aborted", "", None, UNMET, 'a precondition of the run was not met: expected "7", but the value is "5"'),
        # An exit handler that fails afterwards does not hide the precondition.
        ("aborted", "exit status 3", EXIT, UNMET[1:], "a precondition of the run was not met: expected"),
        ("aborted", "the condition could not be evaluated", None, UNMET, "the condition could not be evaluated"),
        ("failed", "x" * 5000, None, (), "x" * 999 + "…"),
        ("succeeded", "an error that was tolerated", None, (), ""),
        ("running", "the time limit of the run was reached", None, (), ""),
    ],
)
def test_a_run_has_an_error_of_its_own_if_no_step_is_the_reason(
    status: str, error: str, key: int | None, conditions: tuple[str, ...], text: str
) -> None:
    found = rules.own_error(RunStatus[status.upper()], error, key, conditions)
    assert found.startswith(text)
    assert bool(found) is bool(text)
    assert len(found) <= 1000
