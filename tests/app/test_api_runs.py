"""Runs through the API: started, listed, read, stopped (api-behaviour 3.4 to 3.6)."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import httpx
import pytest

from tests.app.dagbook import Dagbook, client_of, serving

QUICK = "steps: [{name: a, command: 'true'}]\n"
LONG = "steps: [{name: a, command: echo ready; sleep 30}]\n"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def _refused(client: httpx.AsyncClient, path: str, body: Any) -> tuple[int, str]:
    answer = await client.post(path, json=body)
    assert answer.json()["message"]
    return answer.status_code, answer.json()["code"]


# -- start -----------------------------------------------------------------------------------------------------------


@pytest.mark.always
async def test_a_run_can_be_fetched_as_soon_as_it_is_accepted(dagbook: Dagbook) -> None:
    run_id = await dagbook.start(QUICK)
    assert UUID7.fullmatch(run_id)
    details = await dagbook.get(run_id)
    assert (details["name"], details["rootDAGRunName"]) == (dagbook.name, dagbook.name)
    assert details["dagRunId"] == details["rootDAGRunId"] == run_id
    assert details["statusLabel"] in ("running", "succeeded")


async def test_the_name_in_the_text_wins_over_the_one_in_the_request(dagbook: Dagbook) -> None:
    answer = await dagbook.client.post("/dag-runs", json={"spec": f"name: {dagbook.name}\n{QUICK}", "name": "other"})
    assert answer.status_code == 200
    assert await dagbook.finished(answer.json()["dagRunId"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"spec": ""},
        {"spec": " \n"},
        {"spec": 5},
        {"spec": None},
        {"spec": QUICK},  # no name anywhere
        {"spec": QUICK, "name": "a b"},
        {"spec": QUICK, "name": "x" * 41},
        {"spec": QUICK, "name": ".."},
        {"spec": QUICK, "name": "a\0"},
        {"spec": "name: 'a/b'\n" + QUICK},
        {"spec": "steps: [", "name": "x"},
        {"spec": "steps: [{command: 'true', depends: nobody}]", "name": "x"},
        {"spec": "steps: [{name: a, command: 'true', depends: a}]", "name": "x"},
        {"spec": "stepz: []", "name": "x"},
        {"spec": QUICK, "name": "x", "dagRunId": "a b"},
        {"spec": QUICK, "name": "x", "dagRunId": "latest"},
        {"spec": QUICK, "name": "x", "dagRunId": "x" * 65},
        {"spec": QUICK, "name": "x", "dagRunId": "a\n"},
        {"spec": QUICK, "name": "x", "dagRunId": 5},
        {"spec": QUICK, "name": "x", "singleton": "true"},
        {"spec": QUICK, "name": "x", "params": ["A=1"]},
        [],
        "text",
    ],
    ids=str,
)
async def test_a_run_that_makes_no_sense_is_refused_and_nothing_is_stored(client: httpx.AsyncClient, body: Any) -> None:
    before = (await client.get("/dag-runs")).json()
    assert await _refused(client, "/dag-runs", body) == (400, "bad_request")
    assert (await client.get("/dag-runs")).json() == before


async def test_a_refusal_names_every_problem_of_a_definition_with_its_place(client: httpx.AsyncClient) -> None:
    spec = "steps:\n  - {name: a, command: x, depends: no}\n  - {name: b, comand: x}\n"
    message = (await client.post("/dag-runs", json={"spec": spec, "name": "x"})).json()["message"]
    assert "[2:" in message
    assert "[3:" in message
    assert "comand" in message


async def test_unknown_members_are_ignored_and_null_is_as_good_as_nothing(dagbook: Dagbook) -> None:
    body = {"spec": QUICK, "name": dagbook.name, "params": None, "dagRunId": None, "singleton": None, "more": 1}
    assert (await dagbook.client.post("/dag-runs", json=body)).status_code == 200


@pytest.mark.always
async def test_of_parallel_starts_with_one_id_one_wins(dagbook: Dagbook) -> None:
    body = {"spec": "maxActiveRuns: -1\n" + QUICK, "name": dagbook.name, "dagRunId": "same"}
    answers = await asyncio.gather(*(dagbook.client.post("/dag-runs", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already_exists"}


async def test_a_used_id_is_refused_by_its_dag_and_free_in_another(dagbook: Dagbook) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    body = {"spec": QUICK, "name": dagbook.name, "dagRunId": "r1"}
    assert await _refused(dagbook.client, "/dag-runs", body) == (409, "already_exists")
    other = Dagbook(dagbook.client, f"{dagbook.name}-2")
    assert (await other.run(QUICK, dagRunId="r1")).status == "succeeded"


@pytest.mark.parametrize(
    ("head", "body", "accepted"),
    [
        ("", {}, 1),
        ("maxActiveRuns: 2\n", {}, 2),
        ("maxActiveRuns: 5\n", {"singleton": True}, 1),
        ("maxActiveRuns: -1\n", {}, 4),
        ("maxActiveRuns: -1\n", {"singleton": True}, 1),
    ],
)
async def test_parallel_starts_get_as_many_runs_as_the_limit_allows(
    dagbook: Dagbook, head: str, body: dict[str, Any], accepted: int
) -> None:
    whole = {"spec": head + LONG, "name": dagbook.name, **body}
    answers = await asyncio.gather(*(dagbook.client.post("/dag-runs", json=whole) for _ in range(4)))
    assert [answer.status_code for answer in answers].count(200) == accepted
    refused = {answer.json()["code"] for answer in answers if answer.status_code != 200}
    assert refused == ({"max_run_reached"} if accepted < 4 else set())
    await asyncio.gather(*(dagbook.stop(a.json()["dagRunId"]) for a in answers if a.status_code == 200))


async def test_a_finished_run_makes_room_for_the_next(dagbook: Dagbook) -> None:
    for _ in range(2):
        assert (await dagbook.run(QUICK)).status == "succeeded"


# -- lists -----------------------------------------------------------------------------------------------------------


async def _ids(client: httpx.AsyncClient, path: str, **query: Any) -> list[str]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [run["dagRunId"] for run in answer.json()["dagRuns"]]


async def test_runs_are_listed_newest_first_and_narrowed_as_asked(dagbook: Dagbook) -> None:
    name, client = dagbook.name, dagbook.client
    before = int(time.time())
    for run_id, command in (("one-x", "'true'"), ("two-x", "exit 1"), ("three-y", "'true'")):
        await dagbook.run(f"steps: [{{command: {command}}}]\n", dagRunId=run_id)
    after = int(time.time()) + 1
    path = f"/dag-runs/{name}"
    assert await _ids(client, path) == ["three-y", "two-x", "one-x"]
    assert await _ids(client, "/dag-runs", name=name[2:]) == ["three-y", "two-x", "one-x"]
    assert await _ids(client, "/dag-runs", name=name.upper()) == []
    assert await _ids(client, path, status=2) == ["two-x"]
    assert await _ids(client, path, status=9) == []
    assert await _ids(client, path, status=9**99) == []
    assert await _ids(client, path, dagRunId="-x") == ["two-x", "one-x"]
    assert await _ids(client, path, dagRunId="%") == []
    assert await _ids(client, path, dagRunId="-X") == []
    assert await _ids(client, path, fromDate=before, toDate=after) == ["three-y", "two-x", "one-x"]
    assert await _ids(client, path, fromDate=after) == []
    assert await _ids(client, path, toDate=before) == []
    assert await _ids(client, path, toDate=after, status=4) == ["three-y", "one-x"]


async def test_of_an_unknown_name_there_are_no_runs(client: httpx.AsyncClient) -> None:
    assert (await client.get("/dag-runs/never-heard")).json() == {"dagRuns": []}


@pytest.mark.parametrize(
    "query", ["fromDate=2026-01-01", "toDate=x", "status=x", "fromDate=-1", "toDate=99999999999999"]
)
async def test_a_filter_that_cannot_be_read_is_refused_by_its_name(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/dag-runs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith(query.partition("=")[0] + ":")


# -- details ---------------------------------------------------------------------------------------------------------


async def test_details_of_a_finished_run_are_complete(dagbook: Dagbook) -> None:
    details = (await dagbook.run("params: A=1\n" + QUICK)).details
    moment = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
    assert (details["status"], details["params"], details["preconditions"]) == (4, "A=1", [])
    assert moment.fullmatch(details["startedAt"])
    assert moment.fullmatch(details["finishedAt"])
    assert details["log"]
    assert "queuedAt" not in details
    assert "parentDAGRunId" not in details
    node = details["nodes"][0]
    assert (node["status"], node["statusLabel"], node["doneCount"], node["retryCount"]) == (4, "succeeded", 1, 0)
    assert moment.fullmatch(node["startedAt"])
    assert node["stdout"] != node["stderr"]


async def test_a_command_is_shown_as_it_was_evaluated(dagbook: Dagbook) -> None:
    step = (await dagbook.run("params: A=1\nsteps: [{name: a, command: echo $A x}]\n")).nodes["a"]["step"]
    assert (step["command"], step["args"], step["cmdWithArgs"]) == ("echo", ["1", "x"], "echo $A x")
    assert step["commands"] == [{"command": "echo", "args": ["1", "x"]}]


async def test_latest_is_the_newest_run_of_a_name(dagbook: Dagbook) -> None:
    for run_id in ("old", "new"):
        await dagbook.run(QUICK, dagRunId=run_id)
    assert (await dagbook.get("latest"))["dagRunId"] == "new"
    assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}/latest/log")).status_code == 200
    assert (await dagbook.client.get(f"/dag-runs/{dagbook.name}/latest/steps/a/log")).status_code == 200


ODD = ["nobody", "%2E", "%2E%2E", "a%2Fb", "a%00b", "x" * 10_000, "%25", "*", "%C3%A4", "%FF", "a%0Ab"]


@pytest.mark.parametrize("odd", ODD, ids=lambda text: text[:8])
@pytest.mark.parametrize(
    "path", ["{odd}/r1", "{name}/{odd}", "{odd}/latest/log", "{name}/{odd}/log", "{name}/r1/steps/{odd}/log"]
)
async def test_what_is_not_there_is_not_found(dagbook: Dagbook, odd: str, path: str) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    answer = await dagbook.client.get("/dag-runs/" + path.format(odd=odd, name=dagbook.name))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# -- stop ------------------------------------------------------------------------------------------------------------


async def test_stopping_what_is_not_there_or_not_running_is_refused(dagbook: Dagbook) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    path = f"/dag-runs/{dagbook.name}"
    assert await _refused(dagbook.client, f"{path}/r1/stop", None) == (400, "not_running")
    assert await _refused(dagbook.client, f"{path}/r2/stop", None) == (404, "not_found")
    assert await _refused(dagbook.client, f"{path}/latest/stop", None) == (404, "not_found")
    assert await _refused(dagbook.client, f"{path}/a%00b/stop", None) == (404, "not_found")


# -- on an empty database --------------------------------------------------------------------------------------------


async def test_an_empty_server_answers_with_empty_lists(database_url: str, tmp_path_factory: Any) -> None:
    async with serving(database_url, tmp_path_factory.mktemp("home")) as server, client_of(server) as client:
        assert (await client.get("/dag-runs")).json() == {"dagRuns": []}
        dags = (await client.get("/dags")).json()
        assert (dags["dags"], dags["errors"]) == ([], [])
        assert dags["pagination"] == {
            "totalRecords": 0,
            "currentPage": 1,
            "totalPages": 1,
            "nextPage": 1,
            "prevPage": 1,
        }


# -- what a database may not hold ------------------------------------------------------------------------------------

HOSTILE = {
    "params": {"spec": QUICK, "params": "A=a\0b"},
    "default": {"spec": 'params: "A=a\\0b"\n' + QUICK},
    "env": {"spec": 'env: {A: "a\\0b"}\n' + QUICK},
    "step name": {"spec": 'steps: [{name: "a\\0b", command: x}]\n'},
    "tag": {"spec": 'tags: ["a\\0b"]\n' + QUICK},
    "queue": {"spec": 'queue: "a\\0b"\n' + QUICK},
    "command": {"spec": 'steps: [{name: a, command: "echo a\\0b"}]\n'},
    "script": {"spec": 'steps: [{name: a, script: "echo a\\0b"}]\n'},
    "output": {"spec": "steps: [{name: a, command: \"printf 'a\\\\0b'\", output: X}, {name: b, command: echo $X}]\n"},
    "output name": {"spec": 'steps: [{name: a, command: "true", output: "X\\0"}]\n'},
    "error": {"spec": "steps: [{name: a, command: \"printf 'a\\\\0b' >&2; exit 1\"}]\n"},
    "condition": {
        "spec": "steps: [{name: a, command: x, preconditions: [{condition: \"`printf 'a\\\\0b'`\", expected: c}]}]\n"
    },
    "working directory": {"spec": 'workingDir: "/tmp/a\\0b"\n' + QUICK},
    "step directory": {"spec": 'steps: [{name: a, command: x, workingDir: "/tmp/a\\0b"}]\n'},
    "redirect": {"spec": 'steps: [{name: a, command: x, stdout: "/tmp/a\\0b"}]\n'},
    "dotenv": {"spec": 'dotenv: "a\\0b"\n' + QUICK},
    "source": {"spec": QUICK, "sourceDirectory": "/tmp/a\0b"},
    "shell": {"spec": 'shell: "a\\0b"\n' + QUICK},
    "description": {"spec": 'description: "a\\0b"\n' + QUICK},
    "spec": {"spec": QUICK + "# \0\n"},
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_a_nul_anywhere_is_refused_or_carried_but_never_an_error_of_the_server(
    dagbook: Dagbook, body: dict[str, Any]
) -> None:
    answer = await dagbook.client.post("/dag-runs", json={"name": dagbook.name, **body})
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        ended = await dagbook.finished(answer.json()["dagRunId"])
        assert "internal error" not in str(ended.details)


@pytest.mark.parametrize("spec", ["# nothing yet", "{}", "---\n---\n" + QUICK])
async def test_a_text_without_a_definition_cannot_be_run(dagbook: Dagbook, spec: str) -> None:
    for path in ("/dag-runs", "/dag-runs/enqueue"):
        assert await _refused(dagbook.client, path, {"name": dagbook.name, "spec": spec}) == (400, "bad_request")
    await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": spec})
    for verb in ("start", "enqueue"):
        assert await _refused(dagbook.client, f"/dags/{dagbook.name}/{verb}", {}) == (400, "bad_request")


async def test_a_called_dag_without_a_definition_fails_the_step(dagbook: Dagbook) -> None:
    await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": "# nothing yet"})
    ended = await dagbook.run(f"steps: [{{name: a, call: {dagbook.name}}}]\n")
    assert "is invalid" in ended.nodes["a"]["error"]


@pytest.mark.parametrize("directory", ["tmp", "../tmp", "/a\0b", "/" + "x" * 256, "/x" * 2048])
@pytest.mark.parametrize("path", ["/dag-runs", "/dag-runs/enqueue"])
async def test_a_directory_that_cannot_be_one_is_refused(dagbook: Dagbook, directory: str, path: str) -> None:
    body = {"name": dagbook.name, "spec": QUICK, "sourceDirectory": directory}
    answer = await dagbook.client.post(path, json=body)
    assert (answer.status_code, answer.json()["message"].split(":")[0]) == (400, "sourceDirectory")
