"""No command of a run runs before the run and its audit entry are stored (accept first, then evaluate)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagbook.main import Server
from dagbook.maintenance.doctor import Examination
from tests.app.dagbook import Dagbook
from tests.waiting import until_written

PLACES = ("env: [A: '`{}`']", "params: 'A=`{}`'", "dotenv: ['`{}`']")


async def _waiting(dagbook: Dagbook, tmp_path: Path, place: str) -> str:
    """Start a run whose evaluation waits until ``go`` exists; returns its id once the evaluation has begun."""
    wait = f"echo on > {tmp_path}/on; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo none"
    run_id = await dagbook.start(f"{place.format(wait)}\nsteps: [{{command: echo done}}]")
    await until_written(tmp_path / "on")
    return run_id


@pytest.mark.parametrize("place", PLACES)
async def test_a_command_of_an_input_runs_when_the_run_is_stored(dagbook: Dagbook, tmp_path: Path, place: str) -> None:
    run_id = await _waiting(dagbook, tmp_path, place)
    details = await dagbook.get(run_id)
    assert details["statusLabel"] == "not_started"
    entries = (await dagbook.client.get("/audit", params={"name": f"{dagbook.name}/{run_id}", "limit": 1000})).json()[
        "entries"
    ]
    assert ("run.start", "done") in [(entry["action"], entry["outcome"]) for entry in entries]
    (tmp_path / "go").touch()
    assert (await dagbook.finished(run_id)).status == "succeeded"


@pytest.mark.parametrize("place", PLACES)
async def test_a_run_can_be_stopped_while_its_inputs_are_evaluated(
    dagbook: Dagbook, tmp_path: Path, place: str
) -> None:
    run_id = await _waiting(dagbook, tmp_path, place)
    assert (await dagbook.stop(run_id)).statuses == ["not_started"]


@pytest.mark.parametrize("place", PLACES)
async def test_a_command_that_fails_fails_the_run_with_its_reason(dagbook: Dagbook, place: str) -> None:
    ended = await dagbook.run(f"{place.format('exit 3')}\nsteps: [{{command: echo done}}]")
    assert (ended.status, ended.statuses) == ("failed", ["not_started"])
    log = (await dagbook.client.get(f"{ended.path}/log")).json()["content"]
    assert "exit status 3" in log


async def test_the_run_has_the_values_that_the_commands_gave(dagbook: Dagbook) -> None:
    ended = await dagbook.run("params: 'A=`echo one` B=${A}!'\nsteps: [{name: a, command: echo $B}]", params="C=`no`")
    assert ended.details["params"] == "A=one B=one! C=`no`"
    assert await ended.log("a") == "one!"


async def test_a_queued_run_shows_its_params_as_given_and_evaluates_them_when_it_begins(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = f"params: 'A=`cat {tmp_path}/value` B=2'\nqueue: held-{dagbook.name}\nsteps: [{{name: a, command: echo $A}}]"
    (tmp_path / "value").write_text("early")
    client, queue = dagbook.client, f"/queues/held-{dagbook.name}"
    assert (await client.post(f"{queue}/pause")).status_code == 200
    body = {"spec": spec, "name": dagbook.name, "params": "B=$HOME", "dagRunId": "r1"}
    assert (await client.post("/dag-runs/enqueue", json=body)).status_code == 200
    assert (await dagbook.get("r1"))["params"] == f"A=`cat {tmp_path}/value` B=$HOME"
    (tmp_path / "value").write_text("late")
    assert (await client.post(f"{queue}/resume")).status_code == 200
    ended = await dagbook.finished("r1")
    assert (ended.details["params"], await ended.log("a")) == ("A=late B=$HOME", "late")


async def test_a_queued_run_is_running_while_its_inputs_are_evaluated(
    dagbook: Dagbook, server: Server, tmp_path: Path
) -> None:
    """It has left its queue: its limit counts it, a stop ends it, and the rows are whole."""
    wait = f"echo on > {tmp_path}/on; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo none"
    spec = f"params: 'A=`{wait}`'\nmaxActiveRuns: 1\nsteps: [{{command: echo done}}]"
    body = {"spec": spec, "name": dagbook.name}
    for run_id in ("r1", "r2"):
        answer = await dagbook.client.post("/dag-runs/enqueue", json={**body, "dagRunId": run_id})
        assert answer.status_code == 200, answer.text
    await until_written(tmp_path / "on")
    assert [(await dagbook.get(run_id))["statusLabel"] for run_id in ("r1", "r2")] == ["running", "queued"]
    report = await server.services.system.doctor.examine(Examination(damage=False))
    assert [finding for finding in report.findings if finding.count] == []
    assert (await dagbook.stop("r1")).status == "aborted"
    (tmp_path / "go").touch()
    assert (await dagbook.finished("r2")).status == "succeeded"


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("name: 'not a name'\n", {}),
    ("", {"dagRunId": "not an id"}),
    ("", {"params": "A=\0"}),
    ("params: {schema: ./none.json}\n", {}),
]


@pytest.mark.parametrize(("more", "body"), REFUSED)
async def test_a_refused_start_has_run_nothing_and_is_in_the_audit(
    dagbook: Dagbook, tmp_path: Path, more: str, body: dict[str, Any]
) -> None:
    hit = tmp_path / "hit"
    spec = f"{more}env: [A: '`touch {hit}`']\nsteps: [{{command: touch {hit}}}]"
    before = await _refusals(dagbook)
    answer = await dagbook.client.post("/dag-runs", json={"spec": spec, "name": dagbook.name, **body})
    assert (answer.status_code, hit.exists()) == (400, False)
    assert await _refusals(dagbook) == before + 1


async def _refusals(dagbook: Dagbook) -> int:
    entries = (await dagbook.client.get("/audit", params={"action": "run.start", "limit": 1000})).json()["entries"]
    return sum(entry["outcome"] == "refused" for entry in entries)
