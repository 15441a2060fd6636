"""The status of a step, set by hand (api-behaviour op 40, runtime 21.5)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from dagbook.db.database import WriteConnection
from dagbook.main import Server
from dagbook.spec.reading.definition_cache import hash_of
from tests.app.dagbook import Dagbook
from tests.db.rows import add_attempt, add_definition, add_node, add_run

SPEC = "steps: [{name: a, command: 'true'}, {name: b, command: exit 1}]\nhandlerOn: {exit: {command: 'true'}}\n"
LONG = "steps: [{name: a, command: echo ready; sleep 30}]\n"


async def _set(dagbook: Dagbook, step: str, body: Any, run_id: str = "r1") -> httpx.Response:
    return await dagbook.client.patch(f"/dag-runs/{dagbook.name}/{run_id}/steps/{step}/status", json=body)


@pytest.mark.parametrize("step", ["a", "b"])
@pytest.mark.parametrize("status", [0, 2, 3, 4, 5, 6])
async def test_only_the_status_of_the_step_changes(dagbook: Dagbook, step: str, status: int) -> None:
    before = (await dagbook.run(SPEC, dagRunId="r1")).details
    answer = await _set(dagbook, step, {"status": status})
    assert (answer.status_code, answer.content) == (200, b"")
    after = await dagbook.get("r1")
    changed = after["nodes"]["ab".index(step)]
    assert changed["status"] == status
    for node in (changed, before["nodes"]["ab".index(step)]):
        del node["status"], node["statusLabel"]
    assert after == before


@pytest.mark.parametrize("status", [1, 7, -1, True, "4", 4.5, None])
async def test_what_is_no_status_to_set_is_refused(dagbook: Dagbook, status: Any) -> None:
    before = (await dagbook.run(SPEC, dagRunId="r1")).details
    for run_id in ("r1", "nobody"):  # a wrong body is told before anything is looked up
        answer = await _set(dagbook, "a", {"status": status}, run_id)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "status" in answer.json()["message"]
    assert await dagbook.get("r1") == before


async def test_a_status_has_to_be_given(dagbook: Dagbook) -> None:
    await dagbook.run(SPEC, dagRunId="r1")
    assert (await _set(dagbook, "a", {})).status_code == 400


@pytest.mark.parametrize(
    ("run_id", "step"), [("nobody", "a"), ("latest", "a"), ("a%00b", "a"), ("r1", "c"), ("r1", "onExit"), ("r1", "%00")]
)
async def test_what_is_not_there_or_no_step_is_not_found(dagbook: Dagbook, run_id: str, step: str) -> None:
    await dagbook.run(SPEC, dagRunId="r1")
    answer = await _set(dagbook, step, {"status": 4}, run_id)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_steps_of_a_running_run_are_left_alone_whether_they_exist_or_not(dagbook: Dagbook) -> None:
    await dagbook.start(LONG, dagRunId="r1")
    for step in ("a", "nobody"):
        answer = await _set(dagbook, step, {"status": 4})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    await dagbook.stop("r1")


async def test_setting_a_status_twice_is_setting_it_once(dagbook: Dagbook) -> None:
    path = (await dagbook.run(SPEC, dagRunId="r1")).path
    logs = []
    for _ in range(2):
        assert (await _set(dagbook, "b", {"status": 4})).status_code == 200
        logs.append((await dagbook.client.get(f"{path}/log")).json()["content"])
    assert logs[0] == logs[1]


async def test_a_status_may_be_set_again_and_again(dagbook: Dagbook) -> None:
    await dagbook.run(SPEC, dagRunId="r1")
    for status in (4, 2, 0, 6, 0, 3):
        assert (await _set(dagbook, "b", {"status": status})).status_code == 200
        assert (await dagbook.get("r1"))["nodes"][1]["status"] == status


async def test_the_log_of_the_run_tells_of_it(dagbook: Dagbook) -> None:
    path = (await dagbook.run(SPEC, dagRunId="r1")).path
    await _set(dagbook, "b", {"status": 4})
    last = (await dagbook.client.get(f"{path}/log", params={"tail": 1})).json()["content"]
    assert "set by hand" in last
    assert "step=b status=succeeded" in last


async def test_the_row_tells_when_and_by_whom(dagbook: Dagbook, server: Server) -> None:
    await dagbook.run(SPEC, dagRunId="r1")
    await _set(dagbook, "b", {"status": 4})
    statement = text(
        "SELECT n.name, n.edited_by FROM nodes n JOIN runs r ON r.id = n.run_id "
        "WHERE r.dag_name = :name AND n.edited_at IS NOT NULL"
    )
    rows = await server.services.database.read(
        lambda connection: connection.execute(statement, {"name": dagbook.name}).all()
    )
    assert [tuple(row) for row in rows] == [("b", "anonymous")]


async def test_steps_of_a_queued_run_may_be_set_before_it_begins(dagbook: Dagbook, server: Server) -> None:
    """The rows are made by hand: nothing can be queued yet."""
    await server.services.database.write(lambda connection: _queue(connection, dagbook.name))
    for status in (4, 0, 2):
        assert (await _set(dagbook, "first", {"status": status})).status_code == 200
        details = await dagbook.get("r1")
        assert (details["nodes"][0]["status"], details["statusLabel"]) == (status, "queued")


def _queue(connection: WriteConnection, name: str) -> None:
    spec = f"# {name}\nsteps: [{{name: first, command: 'true'}}]\n"
    content_hash = add_definition(connection, hash=hash_of(spec), spec=spec, base=None)
    run = add_run(connection, dag_name=name, run_id="r1", definition_hash=content_hash, status=5)
    add_attempt(connection, run, status=5)
    add_node(connection, run)
