"""A new run from what another one worked from (api-behaviour op 33, runtime 21.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from dagbook.db.database import WriteConnection
from dagbook.main import Server
from tests.app.dagbook import Dagbook, FinishedRun

QUICK = "params: P=1\nsteps: [{name: a, command: echo $P $DAG_NAME $DAG_RUN_ID}]\n"
LONG = "maxActiveRuns: -1\nsteps: [{name: a, command: echo ready; sleep 30}]\n"


async def _reschedule(dagbook: Dagbook, run_id: str, body: Any = None) -> httpx.Response:
    path = f"/dag-runs/{dagbook.name}/{run_id}/reschedule"
    return await (dagbook.client.post(path) if body is None else dagbook.client.post(path, json=body))


async def _rescheduled(dagbook: Dagbook, run_id: str, body: Any = None, name: str = "") -> FinishedRun:
    answer = await _reschedule(dagbook, run_id, body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["queued"] is False
    return await dagbook.finished(answer.json()["dagRunId"], name)


async def test_a_rescheduled_run_is_a_new_one_with_the_params_of_the_old(dagbook: Dagbook) -> None:
    before = await dagbook.run(QUICK, dagRunId="r1", params="P=7")
    after = await _rescheduled(dagbook, "r1", {"dagRunId": "r2"})
    assert (after.status, after.details["params"], after.details["dagRunId"]) == ("succeeded", "P=7", "r2")
    assert await after.log("a") == f"7 {dagbook.name} r2"
    assert await dagbook.get("r1") == before.details


@pytest.mark.parametrize("body", [None, {}, {"dagRunId": None, "dagName": None, "more": 1}])
async def test_nothing_has_to_be_said_about_the_new_run(dagbook: Dagbook, body: Any) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    after = await _rescheduled(dagbook, "r1", body)
    assert (after.status, len(after.details["dagRunId"])) == ("succeeded", 36)


async def test_a_body_that_says_null_says_nothing(dagbook: Dagbook) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    path = f"/dag-runs/{dagbook.name}/r1/reschedule"
    assert (await dagbook.client.post(path, content=b"null")).status_code == 200


async def test_the_new_run_may_be_filed_under_another_name(dagbook: Dagbook) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    name = f"{dagbook.name}-b"
    after = await _rescheduled(dagbook, "r1", {"dagRunId": "r1", "dagName": f" {name} "}, name)
    assert (after.details["name"], after.details["rootDAGRunName"]) == (name, name)
    assert await after.log("a") == f"1 {name} r1"


async def test_a_run_is_rescheduled_from_its_own_text_not_from_the_file_of_today(dagbook: Dagbook) -> None:
    name, client = dagbook.name, dagbook.client
    await client.post("/dags", json={"name": name, "spec": QUICK})
    started = await client.post(f"/dags/{name}/start", json={"dagRunId": "r1"})
    assert started.status_code == 200
    await dagbook.finished("r1")
    await client.put(f"/dags/{name}/spec", json={"spec": "steps: [{name: b, command: exit 1}]\n"})
    assert (await _rescheduled(dagbook, "r1")).statuses == ["succeeded"]
    await client.delete(f"/dags/{name}")
    assert (await _rescheduled(dagbook, "r1")).statuses == ["succeeded"]


async def test_env_is_kept_and_dotenv_is_read_again(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
workingDir: {tmp_path}
env: [STAMP: "`date +%s%N`"]
dotenv: .env
steps: [{{name: a, command: echo $STAMP $FROM}}]
"""
    (tmp_path / ".env").write_text("FROM=first\n")
    first = (await (await dagbook.run(spec, dagRunId="r1")).log("a")).split()
    (tmp_path / ".env").write_text("FROM=second\n")
    second = (await (await _rescheduled(dagbook, "r1")).log("a")).split()
    assert (first[0], first[1], second[1]) == (second[0], "first", "second")


@pytest.mark.parametrize("body", [{"dagName": "a b"}, {"dagName": "a\0"}, {"dagRunId": "latest"}, {"dagRunId": 5}, []])
async def test_a_request_that_makes_no_sense_is_refused(dagbook: Dagbook, body: Any) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    answer = await _reschedule(dagbook, "r1", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("run_id", ["nobody", "latest", "a%00b"])
async def test_a_run_that_is_not_there_is_not_found(dagbook: Dagbook, run_id: str) -> None:
    await dagbook.run(QUICK, dagRunId="r1")
    answer = await _reschedule(dagbook, run_id, {"dagName": "a b"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_used_id_is_told_before_a_live_run(dagbook: Dagbook) -> None:
    await dagbook.start(LONG, dagRunId="r1")
    used, live = [await _reschedule(dagbook, "r1", {"dagRunId": one}) for one in ("r1", "r2")]
    assert (used.status_code, used.json()["code"]) == (409, "already_exists")
    assert (live.status_code, live.json()["code"]) == (409, "max_run_reached")
    await dagbook.stop("r1")


async def test_a_run_whose_text_was_redacted_is_not_rescheduled(dagbook: Dagbook, server: Server) -> None:
    await dagbook.run(QUICK + f"# {dagbook.name}\n", dagRunId="r1")
    await server.services.runs.database.write(lambda connection: _redact(connection, dagbook.name))
    answer = await _reschedule(dagbook, "r1")
    assert (answer.status_code, "redacted" in answer.json()["message"]) == (400, True)


def _redact(connection: WriteConnection, name: str) -> None:
    statement = """UPDATE definitions SET spec = NULL, redacted_at = created_at, redacted_by = 'ann'
        WHERE hash IN (SELECT definition_hash FROM runs WHERE dag_name = :name)"""
    connection.execute(text(statement), {"name": name})


async def test_a_run_in_place_of_one_that_is_over_has_no_limit_but_that_one_must_be_over(dagbook: Dagbook) -> None:
    await dagbook.start(LONG, dagRunId="r1")
    body = {"restart": True, "dagRunId": "r3"}
    answer = await _reschedule(dagbook, "r1", body)
    assert (answer.status_code, "is running; stop it first" in answer.text) == (409, True)
    await dagbook.start(LONG, dagRunId="r2")
    await dagbook.client.post(f"/dag-runs/{dagbook.name}/r1/stop")
    await dagbook.finished("r1")
    assert (await _reschedule(dagbook, "r1")).status_code == 409
    assert (await _reschedule(dagbook, "r1", body)).json() == {"dagRunId": "r3", "queued": False}
    for run_id in ("r2", "r3"):
        await dagbook.client.post(f"/dag-runs/{dagbook.name}/{run_id}/stop")
        await dagbook.finished(run_id)


@pytest.mark.parametrize(("written", "shown"), [("restartWaitSec: 7\n", 7), ("restartWaitSec: -1\n", None), ("", None)])
async def test_a_run_tells_how_long_a_restart_waits(dagbook: Dagbook, written: str, shown: int | None) -> None:
    ended = await dagbook.run(written + QUICK)
    assert ended.details.get("restartWaitSec") == shown
