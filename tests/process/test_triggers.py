"""What a hook has answered is started, also by the next server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.process.program import Program
from tests.process.waiting import wait_for

BUILD = "steps: [{name: a, command: 'true'}]\n"


def _send(program: Program, token: str, number: int) -> Any:
    headers = {"X-Trigger-Token": token, "Idempotency-Key": str(number)}
    answer = program.api.client.post("/hooks/push", content=json.dumps({"n": number}), headers=headers)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


@pytest.mark.always
def test_an_event_that_was_answered_is_one_run_although_its_server_is_killed(program: Program) -> None:
    client = program.api.client
    assert client.post("/dags", json={"name": "build", "spec": BUILD}).status_code == 201
    added = client.post("/triggers", json={"name": "push", "dag": "build", "scheme": "token"})
    token = added.json()["secret"]
    answered = []
    for number in range(3):
        answered.append(_send(program, token, number))
        program.kill()
        program.start()
        again = _send(program, token, number)
        assert (again["eventId"], again["duplicate"]) == (answered[-1]["eventId"], True)

    def ended() -> bool:
        runs = program.api.client.get("/dag-runs?name=build").json()["dagRuns"]
        assert {run["dagRunId"] for run in runs} <= {each["dagRunId"] for each in answered}
        return [run["statusLabel"] for run in runs] == ["succeeded"] * 3

    wait_for("the runs", ended)
    events = program.api.client.get("/triggers/push/events").json()["events"]
    assert [(each["state"], each["duplicates"]) for each in events] == [("started", 1)] * 3
