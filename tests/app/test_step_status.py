"""The status of a step, set by hand (api-behaviour op 40, runtime 21.5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import bindparam, text

from dagbook.db.database import WriteConnection
from dagbook.db.types import UtcDateTime
from dagbook.main import Server
from dagbook.spec.reading.definition_cache import hash_of
from tests.app.dagbook import Dagbook
from tests.db.rows import add_attempt, add_definition, add_node, add_run
from tests.waiting import wait_until

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
    rows = await server.services.runs.database.read(
        lambda connection: connection.execute(statement, {"name": dagbook.name}).all()
    )
    assert [tuple(row) for row in rows] == [("b", "anonymous")]


async def test_steps_of_a_queued_run_may_be_set_before_it_begins(dagbook: Dagbook, server: Server) -> None:
    """The rows are made by hand: nothing can be queued yet."""
    await server.services.runs.database.write(lambda connection: _queue(connection, dagbook.name))
    for status in (4, 0, 2):
        assert (await _set(dagbook, "first", {"status": status})).status_code == 200
        details = await dagbook.get("r1")
        assert (details["nodes"][0]["status"], details["statusLabel"]) == (status, "queued")


FIRST = "steps: [{name: first, command: 'true'}]\n"


def _queue(connection: WriteConnection, name: str, text: str = FIRST, steps: Sequence[str] = ("first",)) -> None:
    spec = f"# {name}\n{text}"
    content_hash = add_definition(connection, hash=hash_of(spec), spec=spec, base=None)
    run = add_run(connection, dag_name=name, run_id="r1", definition_hash=content_hash, status=5)
    add_attempt(connection, run, status=5)
    for position, step in enumerate(steps):
        add_node(connection, run, position=position, name=step)


# -- approvals ------------------------------------------------------------------------------------------------------

GATED = """
steps:
  - {name: gate, type: hitl}
  - {name: ship, command: echo shipped}
  - {name: tell, command: echo told}
"""
CALLS_GATED = f"""
steps: [{{name: go, call: kid}}]
---
name: kid
{GATED}
"""


class Gated:
    """A run, or a called one, whose approval is refused; ``path`` is that of the run with the approval."""

    def __init__(self, dagbook: Dagbook, run_id: str, path: str) -> None:
        self.client, self.path = dagbook.client, path
        self._dagbook, self._run_id = dagbook, run_id

    @classmethod
    async def ask(cls, dagbook: Dagbook, spec: str) -> Gated:
        run_id = await dagbook.start(spec)
        root = f"/dag-runs/{dagbook.name}/{run_id}"
        waiting = await cls(dagbook, run_id, root).waiting()
        sub_run = f"/sub-dag-runs/{waiting['dagRunId']}" if "rootDAGRunId" in waiting else ""
        return cls(dagbook, run_id, root + sub_run)

    async def waiting(self) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            found: list[dict[str, Any]] = (await self.client.get("/approvals")).json()["approvals"]
            mine = [one for one in found if self._dagbook.name in (one["dagName"], one.get("rootDAGRunName"))]
            return mine[0] if mine else None

        return await wait_until(look)

    async def end(self, how: str) -> None:
        end = (
            f"/dag-runs/{self._dagbook.name}/{self._run_id}/stop" if how == "stop" else f"{self.path}/steps/gate/{how}"
        )
        assert (await self.client.post(end, json={})).status_code == 200
        await self._dagbook.finished(self._run_id)

    async def set(self, step: str, status: int) -> httpx.Response:
        return await self.client.patch(f"{self.path}/steps/{step}/status", json={"status": status})

    async def retry(self, **body: Any) -> httpx.Response:
        path = f"/dag-runs/{self._dagbook.name}/{self._run_id}/retry"
        return await self.client.post(path, json={"dagRunId": self._run_id, **body})


@pytest.mark.parametrize("spec", [GATED, CALLS_GATED])
@pytest.mark.parametrize("how", ["stop", "reject"])
async def test_the_status_of_an_approval_and_of_what_is_behind_it_is_not_set_by_hand(
    dagbook: Dagbook, spec: str, how: str
) -> None:
    gated = await Gated.ask(dagbook, spec)
    await gated.end(how)
    for status in (0, 2, 3, 4, 5, 6):
        answer = await gated.set("gate", status)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "its approvers alone decide it" in answer.json()["message"]
    for step in ("ship", "tell"):
        answer = await gated.set(step, 4)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "depends on the approval 'gate'" in answer.json()["message"]
    assert (await gated.retry()).status_code == 200
    assert (await gated.waiting())["stepName"] == "gate"
    assert (await gated.client.get(f"{gated.path}/steps/ship/log")).status_code == 404  # it has not run
    await gated.end("approve")
    assert "shipped" in (await gated.client.get(f"{gated.path}/steps/ship/log")).json()["content"]
    assert (await gated.set("ship", 2)).status_code == 200  # it was approved


async def test_an_approval_that_was_set_by_hand_before_is_asked_for_by_a_retry(
    dagbook: Dagbook, server: Server
) -> None:
    """Servers before set the status of any step; the rows are made as theirs were."""
    gated = await Gated.ask(dagbook, GATED)
    await gated.end("stop")
    edit = text(
        "UPDATE nodes SET status = 4, edited_at = :now, edited_by = 'op' WHERE name IN ('gate', 'ship') AND run_id = "
        "(SELECT id FROM runs WHERE dag_name = :name)"
    ).bindparams(bindparam("now", type_=UtcDateTime))
    values = {"now": datetime.now(UTC), "name": dagbook.name}
    await server.services.runs.database.write(lambda connection: connection.execute(edit, values))
    for step in ("ship", "tell"):
        answer = await gated.retry(stepName=step)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert "depends on the approval 'gate'" in answer.json()["message"]
    assert (await gated.retry()).status_code == 200
    assert (await gated.waiting())["stepName"] == "gate"
    assert (await gated.client.get(f"{gated.path}/steps/ship/log")).status_code == 404  # it has not run
    await gated.end("stop")


async def test_what_is_behind_an_approval_is_not_set_while_its_run_is_queued(dagbook: Dagbook, server: Server) -> None:
    await server.services.runs.database.write(
        lambda connection: _queue(connection, dagbook.name, GATED, ("gate", "ship"))
    )
    for step in ("gate", "ship"):
        assert (await _set(dagbook, step, {"status": 4})).status_code == 400
