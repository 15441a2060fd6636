"""The latest runs of a stored DAG, and one of them (api-behaviour ops 19 and 20)."""

from __future__ import annotations

from typing import Any

import httpx

from tests.app.dagbook import Dagbook

FLAKY = (
    "type: graph\nmaxActiveRuns: -1\nparams: OK=true\n"
    "handlerOn: {exit: {command: 'true'}, init: {command: 'true'}, failure: {command: 'true'}}\n"
    "steps:\n  - {name: b, command: $OK}\n  - {name: a, command: 'true'}\n"
)


async def _create(dagbook: Dagbook, spec: str = FLAKY) -> None:
    assert (await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": spec})).status_code == 201


async def _run(dagbook: Dagbook, run_id: str, params: str = "", name: str = "") -> None:
    body = {"dagRunId": run_id, "params": params}
    answer = await dagbook.client.post(f"/dags/{dagbook.name}/start", json=body)
    assert answer.status_code == 200, answer.text
    await dagbook.finished(run_id, name)


async def _history(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await client.get(f"/dags/{name}/dag-runs")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_newest_run_comes_first_in_runs_and_grid(dagbook: Dagbook) -> None:
    await _create(dagbook)
    await _run(dagbook, "r1")
    await _run(dagbook, "r2", "OK=false")
    history = await _history(dagbook.client, dagbook.name)
    assert [run["dagRunId"] for run in history["dagRuns"]] == ["r2", "r1"]
    assert history["gridData"] == [
        {"name": "a", "history": [4, 4]},
        {"name": "b", "history": [2, 4]},
        {"name": "onFailure", "history": [4, 0]},
        {"name": "onExit", "history": [4, 4]},
    ]


def _without_millis(shown: Any) -> Any:
    """Leave out the finer times, for a history reads whole seconds."""
    if isinstance(shown, dict):
        return {name: _without_millis(value) for name, value in shown.items() if not name.endswith("Millis")}
    return [_without_millis(one) for one in shown] if isinstance(shown, list) else shown


async def test_each_run_is_shown_with_its_nodes_as_it_is_alone(dagbook: Dagbook) -> None:
    await _create(dagbook)
    await _run(dagbook, "r1")
    (run,) = (await _history(dagbook.client, dagbook.name))["dagRuns"]
    alone = await dagbook.get("r1")
    assert alone.pop("paramsList") == ["OK=true"]  # of one run alone: a history reads no inputs
    assert _without_millis(run) == _without_millis(alone)


async def test_each_run_is_shown_with_the_definition_it_worked_from(dagbook: Dagbook) -> None:
    await _create(dagbook, "steps: [{name: a, command: 'true'}]\n")
    await _run(dagbook, "r1")
    body = {"spec": "steps: [{name: z, command: 'true', description: new}]\n"}
    assert (await dagbook.client.put(f"/dags/{dagbook.name}/spec", json=body)).status_code == 200
    await _run(dagbook, "r2")
    history = await _history(dagbook.client, dagbook.name)
    assert [node["step"].get("description") for run in history["dagRuns"] for node in run["nodes"]] == ["new", None]
    assert history["gridData"] == [{"name": "a", "history": [0, 4]}, {"name": "z", "history": [4, 0]}]


async def test_no_more_than_thirty_runs_are_shown(dagbook: Dagbook) -> None:
    for number in range(31):
        await dagbook.start("maxActiveRuns: -1\nsteps: []\n", dagRunId=f"r{number:02}")
    shown = (await _history(dagbook.client, dagbook.name))["dagRuns"]
    assert [run["dagRunId"] for run in shown] == [f"r{number:02}" for number in range(30, 0, -1)]


async def test_a_dag_that_is_gone_or_never_was_has_a_history(dagbook: Dagbook) -> None:
    await _create(dagbook)
    await _run(dagbook, "r1")
    assert (await dagbook.client.delete(f"/dags/{dagbook.name}")).status_code == 204
    assert len((await _history(dagbook.client, f"{dagbook.name}.yaml"))["dagRuns"]) == 1
    for name in ("never-was", "a%00b", "%2E%2E"):
        assert await _history(dagbook.client, name) == {"dagRuns": [], "gridData": []}


async def test_the_history_is_that_of_the_name_in_the_text(dagbook: Dagbook) -> None:
    await _create(dagbook, f"name: {dagbook.name}-x\nsteps: []\n")
    await _run(dagbook, "r1", name=f"{dagbook.name}-x")
    assert [run["name"] for run in (await _history(dagbook.client, dagbook.name))["dagRuns"]] == [f"{dagbook.name}-x"]


async def test_one_run_of_a_dag_is_shown_in_full(dagbook: Dagbook) -> None:
    await _create(dagbook)
    await _run(dagbook, "r1")
    for run_id in ("r1", "latest"):
        answer = await dagbook.client.get(f"/dags/{dagbook.name}/dag-runs/{run_id}")
        assert answer.json() == {"dagRun": await dagbook.get("r1")}


async def test_the_latest_of_no_runs_is_a_placeholder(dagbook: Dagbook) -> None:
    await _create(dagbook)
    answer = await dagbook.client.get(f"/dags/{dagbook.name}/dag-runs/latest")
    shown = answer.json()["dagRun"]
    assert (answer.status_code, shown["dagRunId"], shown["statusLabel"]) == (200, "", "not_started")


async def test_neither_an_unknown_dag_nor_an_unknown_run_is_found(dagbook: Dagbook) -> None:
    await _create(dagbook)
    for path in (f"/dags/{dagbook.name}/dag-runs/nobody", "/dags/nobody/dag-runs/r1", "/dags/nobody/dag-runs/latest"):
        answer = await dagbook.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_list_of_dags_tells_the_newest_runs_of_each_when_asked(
    dagbook: Dagbook, client: httpx.AsyncClient
) -> None:
    spec = f"name: {dagbook.name}\nsteps: [{{name: a, command: 'true'}}]\n"
    await client.post("/dags", json={"name": dagbook.name, "spec": spec})
    for number in range(4):
        await dagbook.run(spec, dagRunId=f"r{number}")
    plain = (await client.get("/dags", params={"name": dagbook.name})).json()["dags"][0]
    asked = (await client.get("/dags", params={"name": dagbook.name, "recent": 3})).json()["dags"][0]
    assert "recentRuns" not in plain
    assert [run["dagRunId"] for run in asked["recentRuns"]] == ["r3", "r2", "r1"]
    assert all(run["finishedAtMillis"] >= run["startedAtMillis"] for run in asked["recentRuns"])
