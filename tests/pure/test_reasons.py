"""Why a run waits, fails or does not start, in sentences."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dagbook.api.schemas.dags import NextStarts, Slot
from dagbook.api.schemas.run_logs import RunEvent
from dagbook.api.schemas.runs import DAGRunDetails
from dagbook.cli.runs.why import RunFacts, ScheduleFacts, explain_run, explain_schedule
from dagbook.engine.status import NodeStatus, RunStatus

RUN = {"name": "flow", "dagRunId": "r1", "rootDAGRunName": "flow", "rootDAGRunId": "r1", "log": "", "preconditions": []}
WAIT = {"queue": "q", "item": 1, "priority": 0, "position": 1, "reason": "limit"}
SLOT = {"fileName": "flow", "kind": "start", "scheduledAt": "05:00", "settledAt": "05:00"}


def _node(name: str, status: NodeStatus, **fields: Any) -> dict[str, Any]:
    times = {"startedAt": "2030-01-31T09:00:00Z", "finishedAt": "", "stdout": "", "stderr": ""}
    label = {"status": int(status), "statusLabel": status.label}
    return {"step": {"name": name}, "retryCount": 0, "doneCount": 0, **times, **label, **fields}


def _explain(status: RunStatus, nodes: list[dict[str, Any]], *events: dict[str, Any], **fields: Any) -> list[str]:
    times = {"startedAt": "2030-01-31T09:00:00Z", "finishedAt": "2030-01-31T10:00:00Z", "attempt": 2}
    label = {"status": int(status), "statusLabel": status.label}
    run = msgspec.convert({**RUN, **times, **label, "nodes": nodes, **fields}, DAGRunDetails)
    told = [{"number": 1, "attempt": 2, "at": "10:00", **event} for event in events]
    return explain_run(RunFacts(run=run, events=msgspec.convert(told, list[RunEvent]), tails={}))


def _explain_schedule(
    *,
    suspended: bool = False,
    starts: bool = True,
    slot: bool = False,
    errors: tuple[str, ...] = (),
    held: bool = False,
) -> list[str]:
    start = {"at": "2030-02-01T05:00:00Z", "expression": "0 5 * * *"}
    found = msgspec.convert({"suspended": suspended, "starts": [start] if starts else []}, NextStarts)
    skipped = msgspec.convert({**SLOT, "outcome": "skipped", "reason": "a run is active"}, Slot)
    facts = ScheduleFacts(starts=found, slots=[skipped] if slot else [], errors=list(errors))
    return explain_schedule(facts, is_held=held)


def test_a_queued_run_tells_what_it_waits_for_and_what_is_before_it() -> None:
    holder = {"name": "other", "dagRunId": "7", "startedAt": "08:00"}
    wait = {**WAIT, "message": "queue 'q' is full", "heldBy": [holder]}
    assert _explain(RunStatus.QUEUED, [], waitingFor=wait, queuedAt="09:00") == [
        "queue 'q' is full",
        "other 7 is running",
        "it has been queued since 09:00",
    ]


def test_a_run_that_waits_for_an_approval_does_not_say_that_the_step_runs() -> None:
    asked = {"since": "09:00", "prompt": "Ship?", "input": [], "required": []}
    nodes = [_node("gate", NodeStatus.RUNNING, waiting=asked), _node("other", NodeStatus.RUNNING)]
    assert _explain(RunStatus.RUNNING, nodes, reason="waits for approval: gate") == [
        "waits for approval: gate",
        "the step other has been running since 2030-01-31T09:00:00Z",
    ]


def test_a_running_run_tells_which_steps_run_and_which_wait_for_their_next_try() -> None:
    nodes = [
        _node("a", NodeStatus.RUNNING, retryCount=2, error="exit status 1\nmore"),
        _node("b", NodeStatus.RUNNING),
        _node("c", NodeStatus.NOT_STARTED),
    ]
    due = {"step": "a", "dueAt": "10:05"}
    assert _explain(RunStatus.RUNNING, nodes, due, reason="owner lost since 09:59") == [
        "owner lost since 09:59",
        "the step a is tried again at 10:05, after 2 retries: exit status 1",
        "the step b has been running since 2030-01-31T09:00:00Z",
    ]
    again = _explain(RunStatus.RUNNING, nodes[:1], due, {"step": "a", "startedAt": "10:05"})
    assert again == ["the step a has been running since 2030-01-31T09:00:00Z, after 2 retries"]


def test_a_step_that_waits_for_an_approval_is_not_said_to_run() -> None:
    waiting = {"since": "09:00", "prompt": "Ship?", "input": [], "required": []}
    nodes = [_node("gate", NodeStatus.RUNNING, waiting=waiting), _node("b", NodeStatus.RUNNING)]
    assert _explain(RunStatus.RUNNING, nodes, reason="waits for approval: gate") == [
        "waits for approval: gate",
        "the step b has been running since 2030-01-31T09:00:00Z",
    ]


@pytest.mark.parametrize(
    ("status", "nodes", "events", "reasons"),
    [
        (RunStatus.NOT_STARTED, [], [], ["it is being started"]),
        (RunStatus.SUCCEEDED, [], [], ["it succeeded at 2030-01-31T10:00:00Z"]),
        (
            RunStatus.FAILED,
            [_node("a", NodeStatus.FAILED, error="exit status 3", retryCount=1)],
            [{"error": "exit status 3"}],
            ["the step a failed after 1 retries: exit status 3"],
        ),
        (RunStatus.FAILED, [], [], ["no step failed; `dagbook logs` has the output"]),
        (
            RunStatus.ABORTED,
            [_node("a", NodeStatus.ABORTED)],
            [{"stopRequestedAt": "09:30", "actor": "ann"}],
            ["it was asked to stop by ann at 09:30"],
        ),
        (RunStatus.ABORTED, [], [{"timedOut": True}], ["the time limit of the run ended at 10:00"]),
        (
            RunStatus.ABORTED,
            [],
            [{"dequeued": True, "actor": "bob"}],
            ["it was removed from its queue by bob at 10:00"],
        ),
        (RunStatus.ABORTED, [], [], ["it was stopped before it finished"]),
        (
            RunStatus.PARTIALLY_SUCCEEDED,
            [
                _node(
                    "a",
                    NodeStatus.SKIPPED,
                    step={"name": "a", "preconditions": [{"condition": "x", "error": "not today"}]},
                )
            ],
            [],
            ["the step a was skipped: not today"],
        ),
    ],
)
def test_each_status_has_its_reasons(
    status: RunStatus, nodes: list[dict[str, Any]], events: list[dict[str, Any]], reasons: list[str]
) -> None:
    assert _explain(status, nodes, *events) == reasons


def test_a_run_that_no_step_has_failed_tells_its_own_error() -> None:
    error = "a precondition of the run was not met: the value is 7\nmore"
    assert _explain(RunStatus.ABORTED, [], error=error) == [error.partition("\n")[0]]
    assert _explain(RunStatus.FAILED, [], error="params: a is missing") == ["params: a is missing"]


def test_what_ended_a_run_and_its_running_steps_is_told_once() -> None:
    error = "the server could not continue the run"
    nodes = [_node("a", NodeStatus.FAILED, error=error)]
    assert _explain(RunStatus.FAILED, nodes, error=error) == [f"the step a failed: {error}"]


def test_events_of_earlier_attempts_do_not_count() -> None:
    assert _explain(RunStatus.FAILED, [], {"attempt": 1, "error": "old"})[0].startswith("no step failed")


def test_a_schedule_tells_the_next_start_or_why_there_is_none() -> None:
    assert _explain_schedule(slot=True) == [
        "its schedule starts it next at 2030-02-01T05:00:00Z (0 5 * * *)",
        "its start of 05:00 was skipped: a run is active",
    ]
    assert _explain_schedule(held=True) == [
        "its schedule starts nothing: the database was restored and is held until `dagbook resume`"
    ]
    assert _explain_schedule(suspended=True) == [
        "its schedules are suspended, so they start nothing; `dagbook dag resume` resumes them"
    ]
    assert _explain_schedule(starts=False, errors=("steps: is missing",)) == [
        "its definition has a problem, so it cannot start: steps: is missing",
        "it has no schedule that starts it",
    ]
