"""Schedules of a DAG at rest, and all runs of a DAG stopped (api-behaviour ops 23 and 25)."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.auth.audit_context import Actor
from dagbook.db.errors import DatabaseUnavailable
from dagbook.main import Server
from tests.app.dagbook import Dagbook

QUICK = "steps: [{name: a, command: 'true'}]\n"
LONG = "maxActiveRuns: -1\nsteps: [{name: a, command: echo ready; sleep 30}]\n"


@pytest.fixture
async def stored(dagbook: Dagbook) -> Dagbook:
    answer = await dagbook.client.post("/dags", json={"name": dagbook.name, "spec": QUICK})
    assert answer.status_code == 201
    return dagbook


async def _suspend(dagbook: Dagbook, suspend: Any, name: str = "") -> int:
    answer = await dagbook.client.post(f"/dags/{name or dagbook.name}/suspend", json={"suspend": suspend})
    assert (answer.content == b"") == (answer.status_code == 200)
    return answer.status_code


async def _suspended(dagbook: Dagbook) -> tuple[bool, bool]:
    """Read the flag from the details and from the list."""
    details = (await dagbook.client.get(f"/dags/{dagbook.name}")).json()
    (listed,) = (await dagbook.client.get("/dags", params={"name": dagbook.name})).json()["dags"]
    return details["suspended"], listed["suspended"]


async def test_suspending_sets_and_does_not_toggle(stored: Dagbook) -> None:
    assert await _suspended(stored) == (False, False)
    for suspend in (True, True, False, False):
        assert await _suspend(stored, suspend) == 200
        assert await _suspended(stored) == (suspend, suspend)


async def test_a_suspended_dag_is_started_by_hand_like_any_other(stored: Dagbook) -> None:
    await _suspend(stored, True)
    answer = await stored.client.post(f"/dags/{stored.name}/start", json={})
    assert (await stored.finished(answer.json()["dagRunId"])).status == "succeeded"


async def test_a_save_leaves_the_flag_and_a_deletion_does_not(stored: Dagbook) -> None:
    await _suspend(stored, True)
    await stored.client.put(f"/dags/{stored.name}/spec", json={"spec": QUICK + "# more\n"})
    assert await _suspended(stored) == (True, True)
    await stored.client.delete(f"/dags/{stored.name}")
    await stored.client.post("/dags", json={"name": stored.name, "spec": QUICK})
    assert await _suspended(stored) == (False, False)


@pytest.mark.parametrize("suspend", [None, "true", 1, 0])
async def test_what_is_neither_true_nor_false_is_refused(stored: Dagbook, suspend: Any) -> None:
    assert await _suspend(stored, suspend) == 400
    assert await _suspended(stored) == (False, False)


async def test_the_flag_has_to_be_given(stored: Dagbook) -> None:
    answer = await stored.client.post(f"/dags/{stored.name}/suspend", json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_dag_that_is_not_there_is_not_found(dagbook: Dagbook) -> None:
    assert await _suspend(dagbook, True, "nobody") == 404
    assert (await dagbook.client.post("/dags/nobody/stop-all")).status_code == 404


async def test_all_running_runs_of_a_dag_are_stopped_and_no_other(stored: Dagbook) -> None:
    other = Dagbook(stored.client, f"{stored.name}-b")
    await other.start(LONG, dagRunId="r1")
    for run_id in ("r1", "r2"):
        await stored.start(LONG, dagRunId=run_id)
    answer = await stored.client.post(f"/dags/{stored.name}/stop-all")
    assert (answer.status_code, answer.json()) == (200, {"errors": []})
    assert [(await stored.finished(run_id)).status for run_id in ("r1", "r2")] == ["aborted"] * 2
    assert (await other.get("r1"))["statusLabel"] == "running"
    await other.stop("r1")


async def test_runs_that_could_not_be_asked_to_stop_are_told_and_the_others_are_stopped(
    stored: Dagbook, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for one statement only cannot be had, so the request itself is made to fail."""
    for run_id in ("r1", "r2"):
        await stored.start(LONG, dagRunId=run_id)
    launcher = server.services.runs.run_service
    stop = launcher.stop

    async def fail_once(dag_name: str, run_id: str, origin: Actor) -> None:
        if run_id == "r1":
            raise DatabaseUnavailable("the cable is out")
        await stop(dag_name, run_id, origin)

    monkeypatch.setattr(launcher, "stop", fail_once)
    (error,) = (await stored.client.post(f"/dags/{stored.name}/stop-all")).json()["errors"]
    monkeypatch.undo()
    assert "r1" in error
    assert (await stored.finished("r2")).status == "aborted"
    await stored.stop("r1")
