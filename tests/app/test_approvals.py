"""What people see of approvals: that a run waits, what a decision needs, who may decide, and what was decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import pytest

from dagbook.auth.roles import Role
from tests.app.people import People, Person
from tests.waiting import wait_until

SPEC = """
params: [VERSION=1.3]
steps:
  - {{name: build, command: "true"}}
  - name: gate
    type: hitl
    timeoutSec: 86400
    config: {{prompt: "Ship?", input: [TICKET], approvers: [{approvers}]}}
  - {{name: ship, command: "true"}}
handlerOn: {{failure: {{command: "true"}}}}
"""
CALLING = "steps: [{name: call, call: kid}]\n---\nname: kid\nsteps: [{name: gate, type: hitl}]\n"


class Crew(msgspec.Struct, frozen=True):
    """An admin, an approver, another operator and a viewer, and the name of a DAG whose run waits."""

    name: str
    run: str
    people: People
    boss: Person
    clients: dict[str, httpx.AsyncClient]

    async def get(self, who: str, path: str, **query: str | int) -> Any:
        answer = await self.clients[who].get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def mine(self, who: str, path: str = "/approvals") -> list[Any]:
        return [one for one in (await self.get(who, path))["approvals"] if one["dagName"] == self.name]

    async def runs(self, who: str = "viewer", **query: str | int) -> list[Any]:
        found: list[Any] = (await self.get(who, "/dag-runs", fromDate=0, name=self.name, **query))["dagRuns"]
        return found


@pytest.fixture
async def crew(people: People, name: str) -> AsyncIterator[Crew]:
    persons = {
        who: await people.add(role)
        for who, role in {
            "boss": Role.ADMIN,
            "approver": Role.OPERATOR,
            "operator": Role.OPERATOR,
            "viewer": Role.VIEWER,
        }.items()
    }
    async with AsyncExitStack() as stack:
        clients = {who: await stack.enter_async_context(people.client(one.token)) for who, one in persons.items()}
        spec = SPEC.format(approvers=f'{persons["approver"].name}, "group:{name}"')
        assert (await clients["boss"].post("/dags", json={"name": name, "spec": spec})).status_code == 201
        answer = await clients["operator"].post(f"/dags/{name}/start", json={"params": "VERSION=1.4"})
        assert answer.status_code == 200, answer.text
        made = Crew(name, str(answer.json()["dagRunId"]), people, persons["boss"], clients)
        await wait_until(lambda: made.mine("boss"))
        yield made
        await clients["boss"].post(f"/dags/{name}/stop-all")


@pytest.mark.both_engines
async def test_lists_tell_that_a_run_waits_and_can_be_asked_for_those(crew: Crew) -> None:
    (run,) = await crew.runs()
    assert (run["status"], run["waitingForApproval"]) == (1, True)
    assert [len(await crew.runs(waitingForApproval=value)) for value in ("true", "false")] == [1, 0]
    assert await crew.runs(status=4, waitingForApproval="true") == []
    assert len(await crew.runs(status=1)) == 1
    (dag,) = (await crew.get("viewer", "/dags", name=crew.name, recent=10))["dags"]
    assert dag["latestDAGRun"]["waitingForApproval"] is True
    assert [run["waitingForApproval"] for run in dag["recentRuns"]] == [True]
    for value, count in (("true", 1), ("false", 0)):
        assert len((await crew.get("viewer", "/dags", name=crew.name, waitingForApproval=value))["dags"]) == count
    assert (await crew.get("viewer", "/dags", name=crew.name, status=4, waitingForApproval="true"))["dags"] == []
    queues = (await crew.get("viewer", "/queues"))["queues"]
    assert [
        run["waitingForApproval"] for queue in queues if queue["name"] == crew.name for run in queue["running"]
    ] == [True]
    details = (await crew.get("viewer", f"/dag-runs/{crew.name}/{crew.run}"))["dagRunDetails"]
    assert (details["waitingForApproval"], details["statusLabel"]) == (True, "running")
    assert details["startedAtMillis"] == run["startedAtMillis"]
    await crew.clients["approver"].post(f"/dag-runs/{crew.name}/{crew.run}/steps/gate/approve", json={})
    await wait_until(lambda: crew.runs(status=4))
    (run,) = await crew.runs()
    assert "waitingForApproval" not in run
    assert run["finishedAtMillis"] >= run["startedAtMillis"]


async def test_a_sub_run_that_waits_is_one(crew: Crew) -> None:
    body = {"spec": CALLING, "name": f"{crew.name}-calls", "dagRunId": "r1"}
    assert (await crew.clients["boss"].post("/dag-runs", json=body)).status_code == 200

    async def look() -> bool:
        found = (await crew.get("viewer", f"/dag-runs/{crew.name}-calls/r1/sub-dag-runs"))["subRuns"]
        return bool(found) and found[0].get("waitingForApproval", False)

    await wait_until(look)
    found = await crew.get("viewer", "/dag-runs", fromDate=0, subRuns="only", waitingForApproval="true")
    assert [run["rootDAGRunName"] for run in found["dagRuns"]] == [f"{crew.name}-calls"]
    await crew.clients["boss"].post(f"/dag-runs/{crew.name}-calls/r1/stop")


async def test_a_question_has_what_a_decision_needs(crew: Crew) -> None:
    (asked,) = await crew.mine("boss")
    assert asked["before"] == [{"name": "build", "status": 4, "statusLabel": "succeeded"}]
    assert (asked["next"], asked["onFailure"]) == (["ship"], "onFailure")
    assert (asked["trigger"], asked["params"]) == ("api", "VERSION=1.4")
    assert asked["actor"].startswith("operator")
    assert asked["deadline"] > asked["since"]


async def test_each_caller_is_told_whether_it_may_decide(crew: Crew) -> None:
    async def decides(who: str) -> list[bool]:
        (asked,) = await crew.mine(who)
        details = (await crew.get(who, f"/dag-runs/{crew.name}/{crew.run}"))["dagRunDetails"]
        count = await crew.get(who, "/approvals/count")
        assert count["open"] >= count["mayDecide"]
        return [asked["mayDecide"], details["nodes"][1]["waiting"]["mayDecide"]]

    expected = {"boss": False, "approver": True, "operator": False, "viewer": False}
    assert {who: await decides(who) for who in crew.clients} == {who: [may] * 2 for who, may in expected.items()}
    before = (await crew.get("boss", "/approvals/count"))["mayDecide"]
    group = (await crew.clients["boss"].post("/groups", json={"name": crew.name})).json()["id"]
    assert (await crew.clients["boss"].put(f"/groups/{group}/members/{crew.boss.id}", json={})).status_code == 204
    assert await decides("boss") == [True, True]
    assert (await crew.get("boss", "/approvals/count"))["mayDecide"] == before + 1


@pytest.mark.both_engines
async def test_decisions_are_kept_with_who_made_them(crew: Crew) -> None:
    step = f"/dag-runs/{crew.name}/{crew.run}/steps/gate"
    assert (await crew.clients["operator"].post(f"{step}/reject", json={})).status_code == 403
    assert await crew.mine("viewer", "/approvals/decided") == []
    assert (await crew.clients["approver"].post(f"{step}/reject", json={"reason": "Friday"})).status_code == 200
    await wait_until(lambda: crew.runs(status=2))
    (decided,) = await crew.mine("viewer", "/approvals/decided")
    assert (decided["approved"], decided["reason"], decided["prompt"]) == (False, "Friday", "Ship?")
    assert (decided["stepName"], decided["statusLabel"]) == ("gate", "failed")
    assert decided["decidedBy"].startswith("operator")
    first = await crew.get("viewer", "/approvals/decided", perPage=1)
    assert len(first["approvals"]) == 1
    assert first["hasMore"] == bool((await crew.get("viewer", "/approvals/decided", perPage=1, page=2))["approvals"])
