"""A stored DAG gets another file name (api-behaviour op 24)."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.app.dagbook import Dagbook

QUICK = "steps: [{name: a, command: 'true'}]\n"


async def _create(dagbook: Dagbook, spec: str = QUICK, suffix: str = "") -> str:
    name = dagbook.name + suffix
    assert (await dagbook.client.post("/dags", json={"name": name, "spec": spec})).status_code == 201
    return name


async def _rename(dagbook: Dagbook, new_name: object, old: str = "") -> httpx.Response:
    return await dagbook.client.post(f"/dags/{old or dagbook.name}/rename", json={"newFileName": new_name})


async def _runs(dagbook: Dagbook, file_name: str) -> list[str]:
    answer = await dagbook.client.get(f"/dags/{file_name}/dag-runs")
    return [run["dagRunId"] for run in answer.json()["dagRuns"]]


async def test_the_text_and_the_rest_of_its_schedules_move_to_the_new_name(dagbook: Dagbook) -> None:
    await _create(dagbook)
    await dagbook.client.post(f"/dags/{dagbook.name}/suspend", json={"suspend": True})
    answer = await _rename(dagbook, new := f"{dagbook.name}.new")
    assert (answer.status_code, answer.content) == (200, b"")
    details = (await dagbook.client.get(f"/dags/{new}")).json()
    assert (details["dag"]["name"], details["suspended"]) == (new, True)
    assert (await dagbook.client.get(f"/dags/{dagbook.name}")).status_code == 404


async def test_runs_stay_under_the_name_that_came_from_the_old_file(dagbook: Dagbook) -> None:
    await _create(dagbook)
    answer = await dagbook.client.post(f"/dags/{dagbook.name}/start", json={})
    run = await dagbook.finished(answer.json()["dagRunId"])
    await _rename(dagbook, new := f"{dagbook.name}.new")
    assert await _runs(dagbook, new) == []
    assert await _runs(dagbook, dagbook.name) == [run.details["dagRunId"]]


async def test_runs_stay_with_a_dag_whose_text_says_its_name(dagbook: Dagbook) -> None:
    file_name = await _create(dagbook, f"name: {dagbook.name}\n{QUICK}", "-f")
    answer = await dagbook.client.post(f"/dags/{file_name}/start", json={})
    run = await dagbook.finished(answer.json()["dagRunId"])
    await _rename(dagbook, new := f"{dagbook.name}-g", file_name)
    assert await _runs(dagbook, new) == [run.details["dagRunId"]]


@pytest.mark.parametrize("new_name", ["", "a b", "../x", "..", "x.yaml", "x" * 41, None, 5])
async def test_what_is_no_file_name_is_refused(dagbook: Dagbook, new_name: object) -> None:
    await _create(dagbook)
    answer = await _rename(dagbook, new_name)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "newFileName" in answer.json()["message"]


async def test_whether_there_is_such_a_dag_is_seen_before_the_new_name(dagbook: Dagbook) -> None:
    answer = await _rename(dagbook, "a b")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_taken_name_is_refused_even_when_it_is_the_dags_own(dagbook: Dagbook) -> None:
    await _create(dagbook)
    other = await _create(dagbook, suffix="-2")
    for name in (dagbook.name, other):
        answer = await _rename(dagbook, name)
        assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


async def test_a_dag_that_runs_keeps_its_name(dagbook: Dagbook) -> None:
    await _create(dagbook, "steps: [{name: a, command: sleep 30}]\n")
    run_id = (await dagbook.client.post(f"/dags/{dagbook.name}/start", json={})).json()["dagRunId"]
    answer = await _rename(dagbook, f"{dagbook.name}-2")
    assert (answer.status_code, answer.json()["code"]) == (400, "not_running")
    await dagbook.stop(run_id)


async def test_of_two_renames_to_one_name_at_once_one_gets_it(dagbook: Dagbook) -> None:
    names = [await _create(dagbook, suffix=suffix) for suffix in ("-1", "-2")]
    answers = await asyncio.gather(*(_rename(dagbook, f"{dagbook.name}-3", name) for name in names))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
