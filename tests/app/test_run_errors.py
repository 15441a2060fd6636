"""A run that ended before its first step says why, in its details and in every list (api-extensions, ``error``)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.app.dagbook import Dagbook
from tests.app.test_statements import recorded

pytestmark = pytest.mark.both_engines

STEPS = "steps: [{name: a, command: 'true'}]\n"
# What keeps a run from its first step: head of the definition, final status, error.
CAUSES = {
    "secret": (
        "secrets: [{name: TOKEN, provider: env, key: NOT_THERE}]\n",
        "failed",
        "secret TOKEN: the environment variable 'NOT_THERE' is not set",
    ),
    "precondition": (
        "preconditions: ['true', {condition: '5', expected: '7'}]\n",
        "aborted",
        'a precondition of the run was not met: expected "7", but the value is "5"',
    ),
    "condition that cannot be evaluated": (
        "preconditions: [{condition: '`exit 3`', expected: '7'}]\n",
        "aborted",
        "the condition could not be evaluated: the command `exit 3` ended with exit status 3",
    ),
    "params": (
        "params: ['A=`exit 3`']\n",
        "failed",
        "params: a value could not be evaluated: the command `exit 3` ended with exit status 3",
    ),
    "env": (
        "env: ['A=`exit 3`']\n",
        "failed",
        "env: a value could not be evaluated: the command `exit 3` ended with exit status 3",
    ),
    "dotenv": (
        "dotenv: ['`exit 3`']\n",
        "failed",
        "dotenv: '`exit 3`' could not be evaluated: the command `exit 3` ended with exit status 3",
    ),
    "directory": ("workingDir: /proc/none\n", "failed", "workingDir: /proc/none could not be created"),
    "init handler": (
        "handlerOn: {init: {command: exit 3}}\n",
        "aborted",
        "the init handler failed: exit status 3",
    ),
}


async def _listed(dagbook: Dagbook, **query: Any) -> list[dict[str, Any]]:
    answer = await dagbook.client.get("/dag-runs", params={"fromDate": 0, "name": dagbook.name, **query})
    assert answer.status_code == 200, answer.text
    runs: list[dict[str, Any]] = answer.json()["dagRuns"]
    return runs


@pytest.mark.parametrize(("head", "status", "error"), CAUSES.values(), ids=CAUSES)
async def test_a_run_that_ended_before_its_first_step_has_an_error(
    dagbook: Dagbook, head: str, status: str, error: str
) -> None:
    ended = await dagbook.run(head + STEPS)
    assert ended.status == status
    assert ended.statuses == ["not_started"]
    assert ended.details["error"].startswith(error)
    assert "reason" not in ended.details
    (listed,) = await _listed(dagbook)
    assert listed["error"] == ended.details["error"]


async def test_the_error_of_a_step_is_none_of_its_run(dagbook: Dagbook) -> None:
    failed = await dagbook.run("steps: [{name: a, command: exit 3}]\n")
    good = await dagbook.run(STEPS)
    assert (failed.status, good.status) == ("failed", "succeeded")
    assert not [run for run in (failed.details, good.details, *await _listed(dagbook)) if "error" in run]


async def test_lists_have_the_cause_of_a_bad_end_in_a_line(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    steps = "steps: [{name: a, command: 'true'}, {name: check, command: \"sh -c 'echo none >&2; exit 3'\"}]\n"
    await client.post("/dags", json={"name": dagbook.name, "spec": steps})
    failed = await dagbook.finished((await client.post(f"/dags/{dagbook.name}/start", json={})).json()["dagRunId"])
    (in_dags,) = (await client.get("/dags", params={"name": dagbook.name})).json()["dags"]
    await dagbook.run(STEPS)
    head, _, error = CAUSES["precondition"]
    await dagbook.run(head + STEPS)
    line = "check: exit status 3 \N{EN DASH} none"
    assert [run.get("cause") for run in await _listed(dagbook)] == [error, None, line]
    assert in_dags["latestDAGRun"]["cause"] == line
    assert "cause" not in failed.details


async def test_a_retry_that_succeeds_has_no_error_of_the_attempt_before(dagbook: Dagbook, tmp_path: Any) -> None:
    spec = f"secrets: [{{name: TOKEN, provider: file, key: {tmp_path}/token}}]\n{STEPS}"
    ended = await dagbook.run(spec)
    assert ended.details["error"].startswith("secret TOKEN: ")
    (tmp_path / "token").write_text("a value of a secret")
    answer = await dagbook.client.post(f"{ended.path}/retry", json={"dagRunId": ended.details["dagRunId"]})
    assert answer.status_code == 200
    again = await dagbook.finished(ended.details["dagRunId"])
    assert again.status == "succeeded"
    assert "error" not in again.details


async def test_the_list_of_sub_runs_and_the_lists_of_a_dag_have_the_error(
    dagbook: Dagbook, client: httpx.AsyncClient
) -> None:
    head, _, error = CAUSES["precondition"]
    name = f"{dagbook.name}-child"
    spec = f"steps: [{{name: c, call: {name}}}]\n---\nname: {name}\n{head}{STEPS}"
    saved = await client.post("/dags", json={"name": dagbook.name, "spec": spec})
    assert saved.status_code == 201, saved.text
    run_id = (await client.post(f"/dags/{dagbook.name}/start", json={})).json()["dagRunId"]
    ended = await dagbook.finished(run_id)
    (sub_run,) = (await client.get(f"{ended.path}/sub-dag-runs")).json()["subRuns"]
    assert sub_run["error"] == error
    details = (await client.get(f"{ended.path}/sub-dag-runs/{sub_run['dagRunId']}")).json()["dagRunDetails"]
    assert details["error"] == error
    (listed,) = await _listed(dagbook, subRuns="only", name=name, param="")
    assert listed["error"] == error


async def test_the_latest_run_in_the_list_of_dags_has_its_error(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    head, _, error = CAUSES["precondition"]
    await client.post("/dags", json={"name": dagbook.name, "spec": head + STEPS})
    run_id = (await client.post(f"/dags/{dagbook.name}/start", json={})).json()["dagRunId"]
    await dagbook.finished(run_id)
    (listed,) = (await client.get("/dags", params={"name": dagbook.name})).json()["dags"]
    assert listed["latestDAGRun"]["error"] == error
    history = (await client.get(f"/dags/{dagbook.name}/dag-runs")).json()
    assert [run["error"] for run in history["dagRuns"]] == [error]


async def test_the_error_is_bounded_and_has_no_value_of_a_secret(dagbook: Dagbook, tmp_path: Any) -> None:
    (tmp_path / "token").write_text("correct horse battery")
    secret = f"secrets: [{{name: TOKEN, provider: file, key: {tmp_path}/token}}]\n"
    masked = await dagbook.run(
        f"{secret}preconditions: [{{condition: '${{TOKEN}}', expected: '7'}}]\n{STEPS}", dagRunId="masked"
    )
    assert masked.details["error"].endswith('but the value is "*******"')
    long = await dagbook.run(f"preconditions: [{{condition: '5', expected: '{'7' * 5000}'}}]\n{STEPS}")
    assert len(long.details["error"]) == 1000
    assert "correct horse" not in str(await _listed(dagbook))


async def test_a_list_reads_all_errors_with_its_runs(dagbook: Dagbook, client: httpx.AsyncClient) -> None:
    head, _, error = CAUSES["precondition"]
    for number in range(4):
        await dagbook.run((head if number else "") + STEPS)
    with recorded() as statements:
        answer = await client.get(f"/dag-runs/{dagbook.name}")
    errors = [run.get("error") for run in answer.json()["dagRuns"]]
    assert errors == [error, error, error, None]
    assert len(statements) == 1, statements


async def test_params_are_listed_one_by_one(dagbook: Dagbook) -> None:
    values = ["1=first", "NAME=Ada Lovelace & sons", 'QUOTE=say "it" B=2']
    ended = await dagbook.run(f'params: \'first NAME="Ada Lovelace & sons" QUOTE="say \\"it\\" B=2"\'\n{STEPS}')
    assert ended.details["paramsList"] == values
    assert "paramsList" not in (await dagbook.run(STEPS)).details
