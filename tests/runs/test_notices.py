"""Which mails a change in a run calls for, from data alone (runtime 27)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.event import EXIT
from dagbook.engine.plan import Plan
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs.notifications import mail_content, notices
from dagbook.spec.reading.load import load

SMTP = "smtp: {host: h, port: 25}\n"
ERROR, INFO = "errorMail: {from: a@x, to: error@x}\n", "infoMail: {from: a@x, to: info@x}\n"
STEPS = """
steps: [{name: a, command: 'true', mailOnError: true}, {name: b, command: 'true'}]
handlerOn: {exit: {command: 'true', mailOnError: true}}
"""
CLOSED = {"phase": "closed", "status": 4}


def _plan(text: str) -> Plan:
    return Plan.of(load(text, name="d").require().dag)


def _state(status: RunStatus, *, error: str = "", steps: tuple[NodeState, ...] = (), **fields: Any) -> RunState:
    return RunState(status=status, phase=Phase.CLOSED, error=error, steps=steps or (NodeState(), NodeState()), **fields)


def _event(key: int | None, data: dict[str, Any]) -> EventRow:
    return EventRow(seq=1, attempt=1, at=datetime.now(UTC), position=key, data=data)


def _told(text: str, state: RunState, *events: tuple[int | None, dict[str, Any]]) -> list[str]:
    rows = [_event(key, data) for key, data in events]
    return [notice.mail.to[0] for notice in notices.notifications_for(_plan(text), state, rows)]


@pytest.mark.parametrize(
    ("status", "error", "mail"),
    [
        (RunStatus.FAILED, "exit status 1", "error@x"),
        (RunStatus.FAILED, "", "error@x"),
        (RunStatus.SUCCEEDED, "", "info@x"),
        (RunStatus.PARTIALLY_SUCCEEDED, "exit status 1", "error@x"),
        (RunStatus.PARTIALLY_SUCCEEDED, "", "info@x"),
        (RunStatus.ABORTED, "a handler failed", "error@x"),
        (RunStatus.ABORTED, "", None),
    ],
)
def test_the_end_of_a_run_calls_for_one_mail_at_most(status: RunStatus, error: str, mail: str | None) -> None:
    text = SMTP + ERROR + INFO + "mailOn: {failure: true, success: true}\n" + STEPS
    assert _told(text, _state(status, error=error), (None, CLOSED)) == [mail] * (mail is not None)


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.SUCCEEDED])
@pytest.mark.parametrize(
    ("on", "wanted"),
    [
        ("", set()),
        ("mailOn: {failure: true}\n", {RunStatus.FAILED}),
        ("mailOn: {success: true}\n", {RunStatus.SUCCEEDED}),
        ("mailOn: {failure: false, success: false}\n", set()),
    ],
)
def test_mails_about_ends_are_sent_where_they_are_asked_for(status: RunStatus, on: str, wanted: set[RunStatus]) -> None:
    assert bool(_told(SMTP + ERROR + INFO + on + STEPS, _state(status), (None, CLOSED))) == (status in wanted)


def test_a_stopped_run_one_of_whose_steps_was_ended_met_an_error() -> None:
    text = SMTP + ERROR + "mailOn: {failure: true}\n" + STEPS
    ended = NodeState(status=NodeStatus.ABORTED, error="ended by SIGTERM")
    assert _told(text, _state(RunStatus.ABORTED, steps=(ended, NodeState())), (None, CLOSED)) == ["error@x"]
    never_begun = NodeState(status=NodeStatus.ABORTED)
    assert _told(text, _state(RunStatus.ABORTED, steps=(never_begun, NodeState())), (None, CLOSED)) == []


def test_the_mail_that_is_wanted_may_have_no_settings() -> None:
    text = SMTP + INFO + "mailOn: {failure: true}\n" + STEPS
    assert _told(text, _state(RunStatus.FAILED), (None, CLOSED)) == []


@pytest.mark.parametrize(
    ("key", "status", "told"),
    [
        (0, NodeStatus.FAILED, True),
        (0, NodeStatus.ABORTED, False),
        (0, NodeStatus.SUCCEEDED, False),
        (1, NodeStatus.FAILED, False),
        (EXIT, NodeStatus.FAILED, True),
    ],
)
def test_a_step_that_became_failed_calls_for_a_mail_if_it_asks_for_one(
    key: int, status: NodeStatus, told: bool
) -> None:
    event = (key, {"status": int(status), "error": "x"})
    assert _told(SMTP + ERROR + STEPS, _state(RunStatus.RUNNING), event) == ["error@x"] * told


def test_changes_of_a_failed_step_call_for_no_second_mail() -> None:
    assert _told(SMTP + ERROR + STEPS, _state(RunStatus.RUNNING), (0, {"error": "x", "retry_count": 1})) == []


def test_a_step_and_the_end_of_its_run_may_call_for_mails_in_one_commit() -> None:
    text = SMTP + ERROR + "mailOn: {failure: true}\n" + STEPS
    assert _told(text, _state(RunStatus.FAILED), (0, {"status": 2}), (None, CLOSED)) == ["error@x", "error@x"]


def test_a_run_that_is_not_over_calls_for_no_mail_of_its_own() -> None:
    text = SMTP + ERROR + "mailOn: {failure: true}\n" + STEPS
    handlers_work = (None, {"phase": "exit", "outcome": 2})
    assert _told(text, _state(RunStatus.RUNNING), handlers_work, (None, {"status": 1})) == []


@pytest.mark.parametrize(
    ("outcome", "label"), [(None, "running"), (RunStatus.FAILED, "failed"), (RunStatus.SUCCEEDED, "succeeded")]
)
def test_a_mail_tells_what_the_run_is_going_to_be(outcome: RunStatus | None, label: str) -> None:
    state = _state(RunStatus.RUNNING, outcome=outcome)
    rows = [_event(0, {"status": 2})]
    (notice,) = notices.notifications_for(_plan(SMTP + ERROR + STEPS), state, rows)
    assert notice.status.label == label


@pytest.mark.parametrize(
    ("text", "may"),
    [(SMTP + ERROR, True), (SMTP + INFO, True), (SMTP, False), (ERROR + INFO, False), ("", False)],
)
def test_a_dag_without_server_or_recipients_never_sends_mails(text: str, may: bool) -> None:
    assert notices.may_notify(_plan(text + STEPS).dag) == may


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ({}, {}),
        ({0: 10, 1: 20}, {0: 10, 1: 20}),
        ({0: 100}, {0: 100}),
        ({0: 10, 1: 200}, {0: 10, 1: 90}),
        ({0: 500, 1: 10, 2: 500}, {0: 45, 1: 10, 2: 45}),
    ],
)
def test_small_logs_are_whole_and_large_ones_share_what_is_left(sizes: dict[int, int], parts: dict[int, int]) -> None:
    assert mail_content.share_budget(sizes, 100) == parts


@given(st.dictionaries(st.integers(0, 50), st.integers(1, 1000)), st.integers(0, 5000))
def test_logs_never_take_more_than_there_is_and_waste_nothing(sizes: dict[int, int], budget: int) -> None:
    parts = mail_content.share_budget(sizes, budget)
    assert all(parts[key] <= size for key, size in sizes.items())
    assert min(sum(sizes.values()), budget) - len(sizes) <= sum(parts.values()) <= budget
