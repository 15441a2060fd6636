"""A run that is over, tried again: the whole or one step of it (api-behaviour op 37, runtime 21.3 and 21.4)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from dagbook.db.database import WriteConnection
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.main import Server
from dagbook.runs import starting
from dagbook.runs.evaluation.inputs import prepare_again
from dagbook.runs.model import RunInputs, RunLocation
from dagbook.runs.recovery.orphans import SweepResult
from dagbook.spec.model import Dag
from tests.app.dagbook import Dagbook, FinishedRun

# The second step fails until a file is there; every step notes that it ran.
FLAKY = """
params: P=1
steps:
  - {{name: one, command: echo one >> {0}/ran; echo kept $P, output: ONE}}
  - {{name: two, command: echo two >> {0}/ran; test -e {0}/mark && echo "second $ONE"}}
  - {{name: three, command: echo three >> {0}/ran}}
"""
LONG = "steps: [{name: a, command: echo ready; sleep 30}]\n"


async def _retry(dagbook: Dagbook, run_id: str, **body: Any) -> httpx.Response:
    path = f"/dag-runs/{dagbook.name}/{run_id}/retry"
    return await dagbook.client.post(path, json={"dagRunId": run_id, **body})


async def _retried(dagbook: Dagbook, run_id: str, **body: Any) -> FinishedRun:
    answer = await _retry(dagbook, run_id, **body)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    return await dagbook.finished(run_id)


async def _refused(dagbook: Dagbook, run_id: str, **body: Any) -> tuple[int, str]:
    answer = await _retry(dagbook, run_id, **body)
    assert answer.json()["message"]
    return answer.status_code, answer.json()["code"]


async def _set(dagbook: Dagbook, run_id: str, step: str, status: int) -> None:
    path = f"/dag-runs/{dagbook.name}/{run_id}/steps/{step}/status"
    assert (await dagbook.client.patch(path, json={"status": status})).status_code == 200


def _ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


# -- the whole run -------------------------------------------------------------------------------------------------


async def test_a_retry_runs_what_failed_and_all_that_depends_on_it(dagbook: Dagbook, tmp_path: Path) -> None:
    before = await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    assert (before.status, before.statuses) == ("failed", ["succeeded", "failed", "aborted"])
    (tmp_path / "mark").touch()
    after = await _retried(dagbook, "r1")
    assert (after.status, after.statuses) == ("succeeded", ["succeeded"] * 3)
    assert _ran(tmp_path) == ["one", "two", "two", "three"]


async def test_a_kept_step_keeps_all_it_had_and_its_log(dagbook: Dagbook, tmp_path: Path) -> None:
    before = await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    for _ in range(2):  # the second retry keeps what the first one has kept
        after = await _retried(dagbook, "r1")
        assert after.nodes["one"] == before.nodes["one"]
        assert await after.log("one") == "kept 1"


async def test_a_step_that_runs_again_has_a_new_log(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"steps: [{{name: a, command: echo x >> {tmp_path}/n; echo try $(wc -l < {tmp_path}/n); exit 1}}]\n"
    await dagbook.run(spec, dagRunId="r1")
    assert await (await _retried(dagbook, "r1")).log("a") == "try 2"


async def test_outputs_of_kept_steps_are_seen_by_those_that_run(dagbook: Dagbook, tmp_path: Path) -> None:
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    (tmp_path / "mark").touch()
    assert await (await _retried(dagbook, "r1")).log("two") == "second kept 1"


async def test_a_retry_may_fail_again_and_still_be_retried(dagbook: Dagbook, tmp_path: Path) -> None:
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    assert (await _retried(dagbook, "r1")).statuses == ["succeeded", "failed", "aborted"]
    (tmp_path / "mark").touch()
    assert (await _retried(dagbook, "r1")).status == "succeeded"


async def test_a_retry_of_a_run_with_nothing_to_do_runs_its_handlers(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps: [{{name: a, command: echo a >> {tmp_path}/ran}}]
handlerOn: {{exit: {{command: echo exit >> {tmp_path}/ran}}}}
"""
    await dagbook.run(spec, dagRunId="r1")
    assert (await _retried(dagbook, "r1")).status == "succeeded"
    assert _ran(tmp_path) == ["a", "exit", "exit"]


async def test_a_retry_keeps_its_place_in_the_list_and_its_params(dagbook: Dagbook, tmp_path: Path) -> None:
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1", params="P=7")
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r2")
    assert (await _retried(dagbook, "r1")).details["params"] == "P=7"
    listed = (await dagbook.client.get(f"/dag-runs/{dagbook.name}")).json()["dagRuns"]
    assert [run["dagRunId"] for run in listed] == ["r2", "r1"]


async def test_the_log_of_the_run_grows(dagbook: Dagbook, tmp_path: Path) -> None:
    before = (await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")).path
    first = (await dagbook.client.get(f"{before}/log")).json()["content"]
    await _retried(dagbook, "r1")
    second = (await dagbook.client.get(f"{before}/log")).json()["content"]
    assert second.startswith(first)
    assert "trigger=retry" in second.removeprefix(first)


async def test_env_is_kept_and_dotenv_is_read_again(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
workingDir: {tmp_path}
env: [STAMP: "`date +%s%N`"]
dotenv: .env
steps: [{{name: a, command: echo $STAMP $FROM >> {tmp_path}/seen; exit 1}}]
"""
    (tmp_path / ".env").write_text("FROM=first\n")
    await dagbook.run(spec, dagRunId="r1")
    (tmp_path / ".env").write_text("FROM=second\n")
    await _retried(dagbook, "r1")
    (stamp, first), (again, second) = (line.split() for line in (tmp_path / "seen").read_text().splitlines())
    assert (first, second) == ("first", "second")
    assert stamp == again


async def test_a_run_with_a_folder_of_its_own_gets_a_new_one(dagbook: Dagbook) -> None:
    before = await dagbook.run("steps: [{name: a, command: pwd; touch left; ls; exit 1}]\n", dagRunId="r1")
    first = (await before.log("a")).split()
    second = (await (await _retried(dagbook, "r1")).log("a")).split()
    assert (first[1:], second[1:]) == (["left"], ["left"])
    assert first[0] != second[0]


async def test_paths_of_kept_logs_lead_to_files_again(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - {{id: one, name: one, command: echo out; echo err >&2}}
  - {{name: two, command: "test -e {tmp_path}/mark && cat ${{one.stdout}} ${{one.stderr}}"}}
"""
    await dagbook.run(spec, dagRunId="r1")
    (tmp_path / "mark").touch()
    assert await (await _retried(dagbook, "r1")).log("two") == "out\nerr"


async def test_the_file_of_the_run_s_log_holds_all_attempts(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"steps: [{{name: a, command: grep -c 'run accepted' $DAG_RUN_LOG_FILE; test -e {tmp_path}/mark}}]\n"
    await dagbook.run(spec, dagRunId="r1")
    (tmp_path / "mark").touch()
    assert await (await _retried(dagbook, "r1")).log("a") == "2"


async def test_a_stop_that_came_too_late_for_one_attempt_does_not_stop_the_next(
    dagbook: Dagbook, server: Server, tmp_path: Path
) -> None:
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    statement = text(
        "INSERT INTO run_requests (run_id, kind, asked_at) "
        "SELECT id, 'stop', created_at FROM runs WHERE dag_name = :name"
    )
    await server.services.runs.database.write(lambda connection: connection.execute(statement, {"name": dagbook.name}))
    (tmp_path / "mark").touch()
    await _retry(dagbook, "r1")
    await server.supervisor.run_once()
    assert (await dagbook.finished("r1")).status == "succeeded"


async def test_a_stopped_run_goes_on_where_it_was(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - {{name: a, command: test -e {tmp_path}/mark || (echo ready; sleep 30)}}
  - {{name: b, command: 'true'}}
"""
    run_id = await dagbook.start(spec)
    await dagbook.running(run_id, "a", "ready")
    assert (await dagbook.stop(run_id)).statuses == ["aborted", "not_started"]
    (tmp_path / "mark").touch()
    after = await _retried(dagbook, run_id)
    assert (after.status, after.statuses) == ("succeeded", ["succeeded"] * 2)


async def test_a_retry_may_be_stopped_like_any_run(dagbook: Dagbook) -> None:
    run_id = await dagbook.start(LONG)
    for _ in range(2):
        await dagbook.running(run_id, "a", "ready")
        assert (await dagbook.stop(run_id)).status == "aborted"
        assert (await _retry(dagbook, run_id)).status_code == 200
    await dagbook.running(run_id, "a", "ready")
    await dagbook.stop(run_id)


async def test_the_lost_fence_of_one_attempt_does_not_end_the_driving_of_the_next(
    dagbook: Dagbook, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round of the sweep may have begun before the retry and end after it."""
    spec = f"steps: [{{name: a, command: test -e {tmp_path}/mark && echo ready && sleep 30}}]\n"
    await dagbook.run(spec, dagRunId="r1")
    (tmp_path / "mark").touch()
    await _retry(dagbook, "r1")
    await dagbook.running("r1", "a", "ready")
    run = await server.services.runs.database.read(lambda connection: runs.get(connection, dagbook.name, "r1"))
    assert run is not None

    async def sweep(_known: object) -> SweepResult:
        return SweepResult(lost=[Fence(run.id, 1, 1)])

    monkeypatch.setattr(server.supervisor._sweep, "run_once", sweep)
    await server.supervisor.run_once()
    assert server.supervisor.active_runs.has(run.id)
    assert (await dagbook.stop("r1")).status == "aborted"


async def test_the_late_end_of_one_attempt_s_driver_does_not_hide_that_of_the_next(
    dagbook: Dagbook, server: Server
) -> None:
    await dagbook.start(LONG, dagRunId="r1")
    await dagbook.running("r1", "a", "ready")
    run = await server.services.runs.database.read(lambda connection: runs.get(connection, dagbook.name, "r1"))
    assert run is not None
    active_runs = server.supervisor.active_runs
    driver = active_runs._runners[run.id]
    earlier = active_runs.starter.make_runner(driver.run, driver.state, {})
    ended = asyncio.create_task(asyncio.sleep(0))
    await ended
    active_runs._discard(earlier, ended)
    assert active_runs.is_active(driver)
    await dagbook.stop("r1")


# -- one step ------------------------------------------------------------------------------------------------------


async def test_of_a_retried_step_alone_nothing_else_runs(dagbook: Dagbook, tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    after = await _retried(dagbook, "r1", stepName="two")
    assert (after.status, _ran(tmp_path)) == ("succeeded", ["one", "two", "three", "two"])


async def test_no_step_or_an_empty_one_means_the_whole_run(dagbook: Dagbook, tmp_path: Path) -> None:
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    for nothing in ("", None):
        await _retried(dagbook, "r1", stepName=nothing)
    assert _ran(tmp_path) == ["one", "two", "two", "two"]


# -- by hand before ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "status", "ran"),
    [
        ("one", 2, ["one", "two", "three"]),  # marked as failed: it and all behind it run
        ("two", 4, ["three"]),  # marked as done: the run goes on behind it
    ],
)
async def test_a_retry_goes_by_what_was_set_by_hand(
    dagbook: Dagbook, tmp_path: Path, step: str, status: int, ran: list[str]
) -> None:
    await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    await _set(dagbook, "r1", step, status)
    (tmp_path / "mark").touch()
    (tmp_path / "ran").write_text("")
    after = await _retried(dagbook, "r1")
    assert _ran(tmp_path) == ran
    assert after.details["status"] in (4, 6)


async def test_a_status_set_while_a_retry_is_prepared_counts(
    dagbook: Dagbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry has read the run and evaluates its inputs when the status is set."""
    spec = f"steps: [{{name: a, command: echo a >> {tmp_path}/ran; exit 1}}]"
    await dagbook.run(spec, dagRunId="r1")
    has_read, is_set = asyncio.Event(), asyncio.Event()

    async def prepare(dag: Dag, stored: RunInputs, location: RunLocation) -> RunInputs:
        has_read.set()
        await is_set.wait()
        return await prepare_again(dag, stored, location)

    monkeypatch.setattr(starting, "prepare_again", prepare)
    retry = asyncio.create_task(_retry(dagbook, "r1"))
    await has_read.wait()
    await _set(dagbook, "r1", "a", 4)
    is_set.set()
    assert (await retry).status_code == 200
    assert (await dagbook.finished("r1")).status == "succeeded"
    assert _ran(tmp_path) == ["a"]


# -- refusals ------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_retried_is_refused_in_the_order_of_the_checks(dagbook: Dagbook) -> None:
    await dagbook.run("steps: [{name: a, command: exit 1}]\nhandlerOn: {exit: {command: 'true'}}\n", dagRunId="r1")
    path = f"/dag-runs/{dagbook.name}"
    assert await _refused(dagbook, "r2") == (404, "not_found")
    assert await _refused(dagbook, "latest") == (404, "not_found")
    assert await _refused(dagbook, "r1", stepName="nobody") == (404, "not_found")
    assert await _refused(dagbook, "r1", stepName="onExit") == (404, "not_found")
    assert await _refused(dagbook, "r1", stepName="a\0") == (404, "not_found")
    bodies: list[Any] = [{}, {"dagRunId": "r2"}, {"dagRunId": 5}, {"dagRunId": "r1", "stepName": 5}, None, []]
    for body in bodies:
        answer = await dagbook.client.post(f"{path}/r1/retry", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request"), body
    assert (await dagbook.client.post(f"{path}/a%00b/retry", json={"dagRunId": "a\0b"})).status_code == 404
    assert (await dagbook.get("r1"))["nodes"][0]["doneCount"] == 1


@pytest.mark.parametrize("limit", [1, 5, -1])
async def test_a_run_that_is_not_over_is_not_retried(dagbook: Dagbook, limit: int) -> None:
    run_id = await dagbook.start(f"maxActiveRuns: {limit}\n{LONG}")
    assert await _refused(dagbook, run_id) == (409, "max_run_reached")
    assert await _refused(dagbook, run_id, stepName="nobody") == (404, "not_found")
    await dagbook.stop(run_id)


@pytest.mark.parametrize(("limit", "accepted"), [(1, False), (2, True), (-1, True)])
async def test_other_runs_count_against_the_limit(dagbook: Dagbook, limit: int, accepted: bool) -> None:
    head = f"maxActiveRuns: {limit}\n"
    await dagbook.run(head + "steps: [{command: exit 1}]\n", dagRunId="r1")
    await dagbook.start(head + LONG, dagRunId="r2")
    answer = await _retry(dagbook, "r1")
    assert answer.status_code == (200 if accepted else 409)
    await dagbook.stop("r2")
    await dagbook.finished("r1")


@pytest.mark.parametrize("limit", [1, -1])
async def test_of_retries_at_once_one_wins(dagbook: Dagbook, tmp_path: Path, limit: int) -> None:
    wait = f"test -e {tmp_path}/mark && while [ ! -e {tmp_path}/go ]; do sleep 0.01; done"
    spec = f"maxActiveRuns: {limit}\nsteps: [{{name: a, command: 'echo a >> {tmp_path}/ran; {wait}'}}]\n"
    await dagbook.run(spec, dagRunId="r1")
    (tmp_path / "mark").touch()  # the retry is not over before all have asked for it
    answers = await asyncio.gather(*(_retry(dagbook, "r1") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    (tmp_path / "go").touch()
    assert (await dagbook.finished("r1")).status == "succeeded"
    assert _ran(tmp_path) == ["a", "a"]


async def test_a_run_whose_text_was_redacted_is_not_retried(dagbook: Dagbook, server: Server, tmp_path: Path) -> None:
    ended = await dagbook.run(FLAKY.format(tmp_path), dagRunId="r1")
    await server.services.runs.database.write(lambda connection: _redact(connection, dagbook.name))
    answer = await _retry(dagbook, "r1")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert "redacted" in answer.json()["message"]
    assert (await dagbook.get("r1"))["finishedAt"] == ended.details["finishedAt"]


def _redact(connection: WriteConnection, name: str) -> None:
    statement = """UPDATE definitions SET spec = NULL, redacted_at = created_at, redacted_by = 'ann'
        WHERE hash IN (SELECT definition_hash FROM runs WHERE dag_name = :name)"""
    connection.execute(text(statement), {"name": name})
