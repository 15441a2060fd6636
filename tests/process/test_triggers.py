"""What a hook has answered is one run, also by the next server, and by several at once."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process import invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program
from tests.process.server import all_running
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


async def _send_at_once(addresses: Sequence[str], body: bytes, headers: Mapping[str, str]) -> list[httpx.Response]:
    async with httpx.AsyncClient(timeout=60) as client:
        return await asyncio.gather(*(client.post(each, content=body, headers=headers) for each in addresses))


@pytest.mark.full
def test_a_delivery_that_three_servers_get_a_hundred_times_at_once_is_one_run(tmp_path: Path, cluster: Cluster) -> None:
    url, body = cluster.make_database(), b'{"n": 1}'
    servers = [Program(tmp_path / "home", url, log=tmp_path / f"{number}.log") for number in range(3)]
    with all_running(servers):
        api = servers[0].api
        api.store("build", BUILD)
        added = api.client.post("/triggers", json={"name": "push", "dag": "build", "scheme": "github"})
        signature = hmac.new(added.json()["secret"].encode(), body, "sha256").hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Delivery": "d-1"}
        addresses = [f"{servers[number % 3].api.client.base_url}hooks/push" for number in range(100)]
        answers = asyncio.run(_send_at_once(addresses, body, headers))
        assert sorted(each.status_code for each in answers) == [200] * 99 + [202]
        [run_id] = {each.json()[name] for each in answers for name in ("eventId", "dagRunId")}
        assert api.ended(run_id, name="build")["statusLabel"] == "succeeded"
        [event] = api.client.get("/triggers/push/events").json()["events"]
        assert (event["state"], event["duplicates"]) == ("started", 99)
        assert [row.run_id for row in store.query(url, "SELECT run_id FROM runs")] == [run_id]
    assert invariants.find_violations(url) == []
