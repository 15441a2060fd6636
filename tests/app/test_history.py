"""Rows are the truth, events the history: folding these gives the same state (house design section 6)."""

from __future__ import annotations

import msgspec
import pytest

from dagbook.db.database import ReadConnection
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import EventRow
from dagbook.engine.history import Change, fold
from dagbook.engine.plan import Plan, initial_state, retry_state
from dagbook.engine.state import RunState
from dagbook.main import Server
from dagbook.runs.store import row_mapping
from dagbook.spec.reading.load import load
from tests.app.dagbook import Dagbook

SPECS = {
    "success": "steps: [{command: 'true'}, {command: 'true'}]\n",
    "failure": "type: graph\nsteps: [{name: a, command: exit 1}, {command: 'true', depends: a}, {command: 'true'}]\n",
    "tolerated": "steps: [{command: exit 3, continueOn: {exitCode: [3], markSuccess: true}}, {command: 'true'}]\n",
    "retried": "steps: [{command: exit 1, retryPolicy: {limit: 2, intervalSec: 0}}]\n",
    "evaluated retry": "env: [L: 1]\nsteps: [{command: exit 1, retryPolicy: {limit: $L, intervalSec: 0}}]\n",
    "repeated": "steps: [{command: 'true', repeatPolicy: {repeat: while, exitCode: [0], limit: 3, intervalSec: 0}}]\n",
    "conditions": "preconditions: ['true']\nsteps: [{command: 'true', precondition: 'false'}, {command: 'true'}]\n",
    "unmet": "preconditions: ['false']\nsteps: [{command: 'true'}]\nhandlerOn: {abort: {command: 'true'}}\n",
    "handlers": "steps: [{command: 'true'}]\nhandlerOn: {init: {command: 'true'}, success: {command: exit 1}}\n",
    "timeout": "steps: [{command: sleep 30, timeoutSec: 1}]\n",
    "nothing": "description: nothing\n",
}
STOPPED = "steps: [{name: a, command: echo ready; sleep 30}, {command: 'true'}]\nhandlerOn: {exit: {command: 'true'}}\n"


def _read(connection: ReadConnection, name: str, run_id: str) -> tuple[RunState, list[EventRow]]:
    run = runs.get(connection, name, run_id)
    assert run is not None
    whole, attempt = runs.get_complete(connection, run.id), runs.get_attempt(connection, run.id, run.attempt)
    assert whole is not None
    assert attempt is not None
    state = row_mapping.run_state(whole, attempt, runs.get_nodes(connection, run.id, run.attempt))
    return state, list(runs.get_events(connection, run.id))


def _fold(plan: Plan, events: list[EventRow]) -> RunState:
    state = initial_state(plan)
    for event in events:
        data = dict(event.data)
        data.pop("edited_by", None)
        if data.pop("accepted", "") == "retry":
            state = retry_state(plan, state, plan.step_key(str(data["step"])) if "step" in data else None)
        elif event.attempt > 1 or event.seq > 1:
            state = fold(state, [Change(event.position, data)])
    return state


async def _compare(server: Server, name: str, run_id: str, spec: str) -> None:
    stored, events = await server.services.runs.database.read(lambda connection: _read(connection, name, run_id))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert "accepted" in events[0].data
    folded = _fold(Plan.of(load(spec, name=name).definition.dag), events)
    assert msgspec.structs.replace(folded, ready=(), running=()) == msgspec.structs.replace(
        stored, ready=(), running=()
    )


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
async def test_the_events_of_a_finished_run_fold_to_the_state_in_its_rows(
    dagbook: Dagbook, server: Server, spec: str
) -> None:
    ended = await dagbook.run(spec)
    await _compare(server, dagbook.name, ended.details["dagRunId"], spec)


async def test_the_events_of_a_run_under_way_and_of_a_stopped_one_fold_to_its_rows(
    dagbook: Dagbook, server: Server
) -> None:
    run_id = await dagbook.start(STOPPED)
    await dagbook.running(run_id, "a", "ready")
    await _compare(server, dagbook.name, run_id, STOPPED)
    await dagbook.stop(run_id)
    await _compare(server, dagbook.name, run_id, STOPPED)


RETRIES = [[("", {})], [("", {}), ("b", {})], [("", {"a": 2}), ("", {"b": 4})], [("b", {"a": 0, "c": 5})]]


@pytest.mark.parametrize("retries", RETRIES, ids=str)
async def test_the_events_of_retries_and_of_edits_by_hand_fold_to_the_rows_of_the_last_attempt(
    dagbook: Dagbook, server: Server, retries: list[tuple[str, dict[str, int]]]
) -> None:
    names = ("a", "b", "c")
    commands = {"a": "'true'", "b": "exit 1", "c": "'true'"}
    spec = f"steps: [{', '.join(f'{{name: {name}, command: {commands[name]}}}' for name in names)}]\n"
    await dagbook.run(spec, dagRunId="r1")
    path = f"/dag-runs/{dagbook.name}/r1"
    for step, edits in retries:
        for edited, status in edits.items():
            answer = await dagbook.client.patch(f"{path}/steps/{edited}/status", json={"status": status})
            assert answer.status_code == 200
        await _compare(server, dagbook.name, "r1", spec)
        answer = await dagbook.client.post(f"{path}/retry", json={"dagRunId": "r1", "stepName": step})
        assert answer.status_code == 200
        await dagbook.finished("r1")
        await _compare(server, dagbook.name, "r1", spec)
