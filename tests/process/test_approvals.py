"""Approvals outlive servers: what was asked, decided and given is in the database."""

from __future__ import annotations

from typing import Any

from tests.process.program import Program, node
from tests.process.waiting import wait_for

SPEC = """
steps:
  - {name: before, command: echo before}
  - {name: gate, type: hitl, config: {prompt: "Go on?", input: WHO, required: WHO}}
  - {name: behind, command: 'echo "${WHO}"'}
handlerOn:
  wait: {command: echo waiting}
"""


def _gate(program: Program, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = node(program.api.run(run_id), "gate")
    return found


def _waits(program: Program, run_id: str) -> None:
    wait_for("the question", lambda: "waiting" in _gate(program, run_id))


def _approve(program: Program, run_id: str, name: str) -> None:
    path = f"/dag-runs/{name}/{run_id}/steps/gate/approve"
    answer = program.api.client.post(path, json={"inputs": {"WHO": "ada"}})
    assert answer.status_code == 200, answer.text


def test_an_approval_that_waits_survives_kill_9_and_is_given_on_the_next_server(program: Program) -> None:
    run_id = program.api.start(SPEC)
    _waits(program, run_id)
    program.kill()
    program.start()
    _waits(program, run_id)
    name = "flow"
    _approve(program, run_id, name)
    run = program.api.ended(run_id)
    assert run["statusLabel"] == "succeeded"
    assert program.api.log(run_id, "behind") == "ada"
    assert program.api.log(run_id, "gate").count("waits for approval") == 1


def test_a_decision_that_was_answered_is_applied_after_kill_9(program: Program) -> None:
    run_id = program.api.start(SPEC)
    _waits(program, run_id)
    _approve(program, run_id, "flow")
    program.kill()
    program.start()
    run = program.api.ended(run_id)
    assert (run["statusLabel"], node(run, "gate")["approvalInputs"]) == ("succeeded", {"WHO": "ada"})
    assert program.api.log(run_id, "behind") == "ada"


def test_no_process_waits_for_an_approval(program: Program) -> None:
    run_id = program.api.start(SPEC)
    _waits(program, run_id)
    wait_for("the wait handler", lambda: program.api.run(run_id)["onWait"]["statusLabel"] == "succeeded")
    assert program.shims() == []
    program.api.stop(run_id)
    assert program.api.ended(run_id)["statusLabel"] == "aborted"
