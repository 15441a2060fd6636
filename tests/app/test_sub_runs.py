"""Runs that other runs have called, reached through their root (api-behaviour 3.8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.identifiers import sub_run_id
from tests.app.dagbook import Dagbook, FinishedRun
from tests.waiting import until_written

# Three levels; the run in the middle fails until a file is there.
FAMILY = """
steps:
  - {{name: go, call: {0}-mid, params: P=1}}
  - {{name: last, command: 'true'}}
---
name: {0}-mid
steps:
  - {{name: first, command: echo first >> {1}/ran; echo mid says $P}}
  - {{name: deep, call: {0}-low}}
  - {{name: fail, command: echo fail >> {1}/ran; test -e {1}/mark}}
handlerOn: {{exit: {{command: echo bye}}}}
---
name: {0}-low
steps: [{{name: only, command: echo only >> {1}/ran; echo low out}}]
"""


class Family:
    """A run, the one it has called, and the one that has called in turn."""

    def __init__(self, dagbook: Dagbook, ended: FinishedRun) -> None:
        self.dagbook, self.root = dagbook, ended
        self.mid = sub_run_id("r1", "go", 'P="1"')
        self.low = sub_run_id(self.mid, "deep", "")

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.dagbook.client.get(f"{self.root.path}/sub-dag-runs{path}", params=query)

    async def details(self, run_id: str) -> dict[str, Any]:
        answer = await self.get(f"/{run_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["dagRunDetails"]
        return found

    async def patch(self, run_id: str, step: str, status: int) -> httpx.Response:
        path = f"{self.root.path}/sub-dag-runs/{run_id}/steps/{step}/status"
        return await self.dagbook.client.patch(path, json={"status": status})

    async def retry(self) -> FinishedRun:
        answer = await self.dagbook.client.post(f"{self.root.path}/retry", json={"dagRunId": "r1"})
        assert answer.status_code == 200, answer.text
        return await self.dagbook.finished("r1")


@pytest.fixture
async def family(dagbook: Dagbook, tmp_path: Path) -> Family:
    return Family(dagbook, await dagbook.run(FAMILY.format(dagbook.name, tmp_path), dagRunId="r1"))


async def test_a_step_names_the_run_that_it_has_called(family: Family) -> None:
    assert family.root.nodes["go"]["subRuns"] == [{"dagRunId": family.mid, "params": 'P="1"'}]
    assert "subRuns" not in family.root.nodes["last"]
    assert "subRunsRepeated" not in family.root.nodes["go"]


async def test_the_list_shows_what_the_run_s_own_steps_have_called(family: Family) -> None:
    (listed,) = (await family.get("")).json()["subRuns"]
    details = await family.details(family.mid)
    times = {name: details[name] for name in ("startedAt", "startedAtMillis", "finishedAt", "finishedAtMillis")}
    assert listed == {"dagRunId": family.mid, "params": 'P="1"', "status": 2, "statusLabel": "failed", **times}


async def test_the_list_of_a_sub_run_is_asked_for_by_its_id(family: Family) -> None:
    (listed,) = (await family.get("", parentSubDAGRunId=family.mid)).json()["subRuns"]
    assert (listed["dagRunId"], listed["statusLabel"], "params" in listed) == (family.low, "succeeded", False)
    assert (await family.get("", parentSubDAGRunId=family.low)).json() == {"subRuns": []}
    assert (await family.get("", parentSubDAGRunId="nobody")).status_code == 404


async def test_a_sub_run_of_any_depth_tells_its_root_and_its_caller(family: Family) -> None:
    name = family.dagbook.name
    mid, low = await family.details(family.mid), await family.details(family.low)
    for run in (mid, low):
        assert (run["rootDAGRunName"], run["rootDAGRunId"]) == (name, "r1")
    assert (mid["parentDAGRunName"], mid["parentDAGRunId"]) == (name, "r1")
    assert (low["parentDAGRunName"], low["parentDAGRunId"]) == (f"{name}-mid", family.mid)
    assert (mid["name"], low["name"]) == (f"{name}-mid", f"{name}-low")
    assert [node["step"]["name"] for node in mid["nodes"]] == ["first", "deep", "fail"]
    assert mid["onExit"]["statusLabel"] == "succeeded"
    assert mid["nodes"][1]["subRuns"] == [{"dagRunId": family.low}]


async def test_logs_of_a_sub_run_are_read_like_those_of_any_run(family: Family) -> None:
    assert "run accepted" in (await family.get(f"/{family.mid}/log", head=1)).json()["content"]
    for run_id, step, text in (
        (family.mid, "first", "mid says 1"),
        (family.mid, "onExit", "bye"),
        (family.low, "only", "low out"),
    ):
        answer = await family.get(f"/{run_id}/steps/{step}/log")
        assert answer.json()["content"] == text, answer.text
    assert (await family.get(f"/{family.low}/steps/only/log", stream="stderr")).json()["content"] == ""


@pytest.mark.parametrize("run_id", ["nobody", "latest", "r1", "%00", "a%2Fb"])
@pytest.mark.parametrize("rest", ["", "/log", "/steps/only/log"])
async def test_a_sub_run_that_is_not_there_is_not_found(family: Family, run_id: str, rest: str) -> None:
    answer = await family.get(f"/{run_id}{rest}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_steps_that_are_not_there_or_have_not_run_have_no_log(family: Family) -> None:
    for step in ("nobody", "%00"):
        assert (await family.get(f"/{family.mid}/steps/{step}/log")).status_code == 404
        assert (await family.patch(family.mid, step, 4)).status_code == 404


async def test_sub_runs_are_reached_through_their_root_only(family: Family) -> None:
    client, name = family.dagbook.client, family.dagbook.name
    assert (await client.get(f"/dag-runs/{name}-mid/{family.mid}")).status_code == 404
    assert (await client.get(f"/dag-runs/{name}-mid/{family.mid}/sub-dag-runs/{family.low}")).status_code == 404
    assert (await client.get(f"/dag-runs/{name}-mid")).json() == {"dagRuns": []}
    listed = (await client.get("/dag-runs", params={"name": name})).json()["dagRuns"]
    assert [run["dagRunId"] for run in listed] == ["r1"]
    for what in ("retry", "reschedule", "stop"):
        answer = await client.post(f"/dag-runs/{name}-mid/{family.mid}/{what}", json={"dagRunId": family.mid})
        assert answer.status_code == 404


async def test_latest_is_understood_where_nothing_is_changed(family: Family) -> None:
    path = f"/dag-runs/{family.dagbook.name}/latest/sub-dag-runs"
    client = family.dagbook.client
    assert (await client.get(path)).json() == (await family.get("")).json()
    assert (await client.get(f"{path}/{family.low}")).status_code == 200
    answer = await client.patch(f"{path}/{family.low}/steps/only/status", json={"status": 2})
    assert answer.status_code == 404


async def test_the_status_of_a_sub_run_s_step_is_set_in_its_own_record_only(family: Family) -> None:
    before = await family.details(family.mid)
    answer = await family.patch(family.mid, "fail", 4)
    assert (answer.status_code, answer.content) == (200, b"")
    after = await family.details(family.mid)
    assert (after["nodes"][2]["statusLabel"], after["statusLabel"]) == ("succeeded", before["statusLabel"])
    assert await family.dagbook.get("r1") == family.root.details
    for status in (1, 9):
        assert (await family.patch(family.mid, "fail", status)).status_code == 400


async def test_a_finished_sub_run_of_a_running_root_may_be_edited_and_a_running_one_not(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = """
steps:
  - {name: go, call: kid}
  - {name: wait, call: slow}
---
name: kid
steps: [{name: a, command: 'true'}]
---
name: slow
steps: [{name: a, command: 'echo on > %s; sleep 30'}]
"""
    await dagbook.start(spec % (tmp_path / "on"), dagRunId="r1")
    await until_written(tmp_path / "on")
    path = f"/dag-runs/{dagbook.name}/r1/sub-dag-runs"
    answers = [
        (await dagbook.client.patch(f"{path}/{run_id}/steps/a/status", json={"status": 2})).status_code
        for run_id in (sub_run_id("r1", "go", ""), sub_run_id("r1", "wait", ""))
    ]
    await dagbook.stop("r1")
    assert answers == [200, 400]


async def test_a_retry_of_the_root_tries_the_failed_sub_run_again_where_it_failed(
    family: Family, tmp_path: Path
) -> None:
    before = await family.details(family.mid)
    (tmp_path / "mark").touch()
    assert (await family.retry()).status == "succeeded"
    after = await family.details(family.mid)
    assert after["statusLabel"] == "succeeded"
    assert after["nodes"][:2] == before["nodes"][:2]
    assert (tmp_path / "ran").read_text().split() == ["first", "only", "fail", "fail"]
    assert (await family.get(f"/{family.mid}/steps/first/log")).json()["content"] == "mid says 1"
    assert (await family.get(f"/{family.low}/steps/only/log")).json()["content"] == "low out"


async def test_earlier_executions_of_a_repeated_call_come_behind_the_last(dagbook: Dagbook) -> None:
    spec = """
steps:
  - {name: go, call: kid, repeatPolicy: {repeat: while, exitCode: [0], limit: 3, intervalSec: 0}}
---
name: kid
steps: [{name: a, command: 'true'}]
"""
    ended = await dagbook.run(spec, dagRunId="r1")
    node = ended.nodes["go"]
    ids = [run["dagRunId"] for run in (*node["subRuns"], *node["subRunsRepeated"])]
    listed = (await dagbook.client.get(f"{ended.path}/sub-dag-runs")).json()["subRuns"]
    assert [run["dagRunId"] for run in listed] == ids
    assert len(set(ids)) == 3
    assert ids[1] == sub_run_id("r1", "go", "")


async def test_a_run_that_has_called_none_has_an_empty_list_and_an_unknown_one_none(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{command: 'true'}]\n", dagRunId="r1")
    assert (await dagbook.client.get(f"{ended.path}/sub-dag-runs")).json() == {"subRuns": []}
    answer = await dagbook.client.get(f"/dag-runs/{dagbook.name}/nobody/sub-dag-runs")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_sub_run_tells_which_of_its_own_preconditions_is_unmet(dagbook: Dagbook) -> None:
    called = f"{dagbook.name}-low"
    unmet = "preconditions: [{condition: x, expected: y}]"
    spec = (
        f"steps: [{{name: go, call: {called}}}]\n---\nname: {called}\n{unmet}\nsteps: [{{name: a, command: 'true'}}]\n"
    )
    ended = await dagbook.run(spec, dagRunId="r1")
    answer = await dagbook.client.get(f"{ended.path}/sub-dag-runs/{sub_run_id('r1', 'go', '')}")
    assert ended.details["preconditions"] == []
    assert answer.json()["dagRunDetails"]["preconditions"][0]["error"]
