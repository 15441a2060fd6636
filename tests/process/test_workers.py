"""Servers that hand runs to workers, on one PostgreSQL database: who fits takes them up, and a dead one loses none."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process import conftest, invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program, node
from tests.process.waiting import wait_for
from tests.process.workers import WorkerProgram, may_be_elsewhere

Make = Callable[..., WorkerProgram]
_FAST = "maxActiveRuns: 100\nworkerSelector: {gpu: 'true'}\nsteps:\n  - name: only\n    command: echo \"by $PPID\"\n"


def _long(directory: Path) -> str:
    return f"""
maxActiveRuns: 100
workerSelector: {{gpu: "true"}}
steps:
  - name: first
    command: |
      echo "$DAG_RUN_ID first" >>{directory}/witness
      while [ ! -e {directory}/go ]; do sleep 0.05; done
      echo ended
  - name: second
    command: echo "$DAG_RUN_ID second" >>{directory}/witness
"""


def _witness(directory: Path) -> list[str]:
    path = directory / "witness"
    return sorted(path.read_text().splitlines()) if path.exists() else []


@pytest.fixture
def settings() -> dict[str, str]:
    """What server and workers are told beside where they are."""
    return {}


@pytest.fixture
def server(tmp_path: Path, cluster: Cluster, settings: dict[str, str]) -> Iterator[Program]:
    url = cluster.make_database()
    program = Program(tmp_path / "home", url, log=tmp_path / "server.log", settings=settings)
    try:
        yield program.start()
    finally:
        conftest.end(program)
    assert invariants.find_violations(program.database_url) == []


@pytest.fixture
def make_worker(server: Program, tmp_path: Path, settings: dict[str, str]) -> Iterator[Make]:
    made: list[WorkerProgram] = []

    def make(
        *labels: str, home: Path | None = None, name: str = "", capacity: int = 10, host: str = ""
    ) -> WorkerProgram:
        log = tmp_path / f"worker-{len(made)}.log"
        words = [*(f"--label={label}" for label in labels), f"--max-active-runs={capacity}"]
        words += [f"--id={name}"] if name else []
        url = server.database_url
        made.append(WorkerProgram(home or server.home, url, words, log=log, host=host, settings=settings))
        return made[-1].start()

    yield make
    for worker in made:
        conftest.end(worker)


def _owner_kind(server: Program, run_id: str) -> str:
    statement = (
        "SELECT s.kind FROM runs r JOIN run_attempts a ON a.run_id = r.id JOIN services s ON s.id = a.owner "
        "WHERE r.run_id = :run"
    )
    return "".join(row[0] for row in store.query(server.database_url, statement, run=run_id))


def _workers(server: Program) -> list[dict[str, Any]]:
    answer = server.api.client.get("/workers").json()
    assert answer["errors"] == []
    return list(answer["workers"])


@pytest.mark.always
def test_a_run_waits_with_the_reason_until_a_worker_fits_which_then_drives_it(
    server: Program, make_worker: Make
) -> None:
    run_id = server.api.start(_FAST)
    make_worker("gpu=false", name="wrong")
    wait_for("the wrong worker", lambda: [one["id"] for one in _workers(server)] == ["wrong"])
    run = server.api.run(run_id)
    assert run["statusLabel"] == "queued"
    assert run["waitingFor"]["reason"] == "noWorker"
    assert run["waitingFor"]["message"] == "no worker has the labels gpu=true"
    make_worker("gpu=true", "zone=a", name="right")
    ended = server.api.ended(run_id, seconds=60)
    assert ended["statusLabel"] == "succeeded"
    assert _owner_kind(server, run_id) == "worker"
    assert server.api.log(run_id, "only").startswith("by ")


def test_workers_are_listed_with_their_labels_room_and_runs(server: Program, make_worker: Make, tmp_path: Path) -> None:
    make_worker("gpu=true", name="one", capacity=2)
    run_ids = sorted(server.api.start(_long(tmp_path)) for _ in range(3))
    wait_for("two runs", lambda: len(_witness(tmp_path)) == 2, seconds=60)
    (worker,) = _workers(server)
    assert worker["labels"] == {"gpu": "true"}
    assert (worker["totalPollers"], worker["busyPollers"]) == (2, 2)
    assert worker["healthStatus"] == "healthy"
    assert {task["dagRunId"] for task in worker["runningTasks"]} < set(run_ids)
    (coordinator,) = server.api.client.get("/services/coordinator").json()["coordinators"]
    assert coordinator["status"] == "active"
    (tmp_path / "go").touch()
    assert {server.api.ended(run_id, seconds=60)["statusLabel"] for run_id in run_ids} == {"succeeded"}
    assert len(_witness(tmp_path)) == 6


@pytest.mark.parametrize("settings", [{"lease_seconds": "4"}])
def test_a_worker_tells_its_container_whether_it_is_healthy(make_worker: Make) -> None:
    worker = make_worker(name="one")
    none = (1, "Error: no worker runs on this machine, or it was started just now\n")
    assert worker.ask_health("--id", "two") == (1, none[1].replace("worker", "worker two"))
    assert worker.ask_health() == (0, "worker one is healthy\n")
    worker.send(signal.SIGSTOP)
    said = wait_for("a lease that ran out", lambda: _complaint(worker), seconds=30)
    assert said.startswith("Error: worker one has not renewed its lease since ")
    worker.kill()
    assert worker.ask_health() == none


_KEYS = {"secret_key": "k" * 32}
_OTHER_KEY = {"secret_key": "o" * 32}


@pytest.mark.parametrize("settings", [_KEYS])
def test_servers_and_workers_with_another_key_than_the_runs_say_so_as_they_start(
    server: Program, make_worker: Make, tmp_path: Path
) -> None:
    said = "were encrypted with another secret_key"
    (tmp_path / "secret").write_text("hunter2")
    spec = f"secrets: [{{name: SEC, provider: file, key: {tmp_path}/secret}}]\nsteps: [{{name: a, command: 'true'}}]\n"
    assert server.api.ended(server.api.start(spec))["statusLabel"] == "succeeded"
    same = make_worker(name="same")
    other = WorkerProgram(server.home, server.database_url, [], log=tmp_path / "other.log", settings=_OTHER_KEY)
    another = Program(tmp_path / "elsewhere", server.database_url, log=tmp_path / "another.log", settings=_OTHER_KEY)
    try:
        assert other.start().log_text().count(said) == 1
        assert another.start().log_text().count(said) == 1
    finally:
        conftest.end(other)
        conftest.end(another)
    assert said not in same.log_text() + server.log_text()


def _complaint(worker: WorkerProgram) -> str:
    status, said = worker.ask_health()
    return said if status else ""


def test_a_stop_reaches_the_run_of_a_worker(server: Program, make_worker: Make, tmp_path: Path) -> None:
    make_worker("gpu=true")
    run_id = server.api.start(_long(tmp_path))
    wait_for("the first step", lambda: len(_witness(tmp_path)) == 1, seconds=60)
    server.api.stop(run_id)
    ended = server.api.ended(run_id, seconds=60)
    assert ended["statusLabel"] == "aborted"
    assert node(ended, "first")["statusLabel"] == "aborted"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_runs_of_a_worker_that_ends_are_taken_over_on_its_machine(
    how: signal.Signals, server: Program, make_worker: Make, tmp_path: Path
) -> None:
    first = make_worker("gpu=true")
    run_id = server.api.start(_long(tmp_path))
    wait_for("the first step", lambda: len(_witness(tmp_path)) == 1, seconds=60)
    make_worker("gpu=true")
    first.end(how, seconds=60)
    fence = "SELECT max(token) FROM run_attempts"
    wait_for("another owner", lambda: store.query(server.database_url, fence)[0][0] > 1, seconds=30)
    (tmp_path / "go").touch()
    assert server.api.ended(run_id, seconds=60)["statusLabel"] == "succeeded"
    assert _witness(tmp_path) == [f"{run_id} first", f"{run_id} second"]


def test_a_retry_goes_to_a_worker_again(server: Program, make_worker: Make, tmp_path: Path) -> None:
    make_worker("gpu=true")
    spec = f"workerSelector: {{gpu: 'true'}}\nsteps:\n  - name: only\n    command: test -e {tmp_path}/go\n"
    run_id = server.api.start(spec)
    assert server.api.ended(run_id, seconds=60)["statusLabel"] == "failed"
    (tmp_path / "go").touch()
    server.api.client.post(f"/dag-runs/flow/{run_id}/retry", json={"dagRunId": run_id}).raise_for_status()
    assert server.api.ended(run_id, seconds=60)["statusLabel"] == "succeeded"
    assert _owner_kind(server, run_id) == "workerworker"


def test_a_stored_dag_works_in_the_folder_of_the_worker_that_drives_it(
    server: Program, make_worker: Make, tmp_path: Path
) -> None:
    make_worker("gpu=true", home=tmp_path / "other")
    spec = "workerSelector: {gpu: 'true'}\nsteps: [{name: only, command: pwd}]\n"
    server.api.client.post("/dags", json={"name": "flow", "spec": spec}).raise_for_status()
    run_id = server.api.client.post("/dags/flow/start", json={}).json()["dagRunId"]
    assert server.api.ended(run_id, seconds=60)["statusLabel"] == "succeeded"
    assert server.api.log(run_id, "only") == str(tmp_path / "other" / "work")


_CALL = """
steps:
  - name: here
    command: echo here
  - name: there
    call: child
    params: "GO={directory}/go"
    output: RESULT
  - name: after
    command: echo "${{RESULT.outputs.SEEN}}"
---
name: child
workerSelector: {{gpu: "true"}}
params: GO
steps:
  - name: only
    command: |
      while [ ! -e $GO ]; do sleep 0.05; done
      echo seen
    output: SEEN
"""


def _sub_run(server: Program, run_id: str) -> dict[str, Any] | None:
    """Return the only sub-run of a run, once it is there."""
    found = server.api.client.get(f"/dag-runs/flow/{run_id}/sub-dag-runs").json()["subRuns"]
    if not found or not found[0].get("dagRunId"):
        return None
    answer = server.api.client.get(f"/dag-runs/flow/{run_id}/sub-dag-runs/{found[0]['dagRunId']}")
    details: dict[str, Any] | None = answer.json()["dagRunDetails"] if answer.is_success else None
    return details


def test_a_called_dag_that_asks_for_a_worker_runs_there_and_its_caller_here(
    server: Program, make_worker: Make, tmp_path: Path
) -> None:
    run_id = server.api.start(_CALL.format(directory=tmp_path))
    waiting = wait_for("the sub-run", lambda: _sub_run(server, run_id), seconds=60)
    assert waiting["waitingFor"]["message"] == "no worker has the labels gpu=true"
    (tmp_path / "go").touch()
    make_worker("gpu=true")
    ended = server.api.ended(run_id, seconds=60)
    assert ended["statusLabel"] == "succeeded"
    assert server.api.log(run_id, "after") == "seen"
    assert _owner_kind(server, run_id) == "server"
    assert _owner_kind(server, waiting["dagRunId"]) == "worker"


def test_a_called_run_that_waits_for_a_worker_ends_with_its_caller(server: Program, tmp_path: Path) -> None:
    run_id = server.api.start(_CALL.format(directory=tmp_path))
    wait_for("the sub-run", lambda: _sub_run(server, run_id), seconds=60)
    server.api.stop(run_id)
    assert server.api.ended(run_id, seconds=60)["statusLabel"] == "aborted"
    ended = _sub_run(server, run_id)
    assert ended is not None
    assert ended["statusLabel"] == "aborted"


elsewhere = pytest.mark.skipif(not may_be_elsewhere(), reason="no process may call its machine something else here")
IMPATIENT = {"lease_seconds": "4", "orphan_grace_seconds": "4"}
PATIENT = {"lease_seconds": "4", "orphan_grace_seconds": "600"}


def _reason(server: Program, run_id: str) -> str:
    return str(server.api.run(run_id).get("reason", ""))


@elsewhere
@pytest.mark.parametrize("settings", [IMPATIENT])
def test_the_run_of_a_worker_lost_with_its_machine_says_so_and_then_fails(
    server: Program, make_worker: Make, tmp_path: Path
) -> None:
    worker = make_worker("gpu=true", home=tmp_path / "far", host="far")
    run_id = server.api.start(_long(tmp_path))
    wait_for("the first step", lambda: len(_witness(tmp_path)) == 1, seconds=60)
    worker.kill()
    wait_for("the reason", lambda: _reason(server, run_id).startswith("owner lost since "), seconds=30)
    ended = server.api.ended(run_id, seconds=90)
    assert ended["statusLabel"] == "failed"
    assert node(ended, "first")["error"].endswith("the machine that ran the step is lost")
    assert node(ended, "second")["statusLabel"] == "aborted"


@elsewhere
@pytest.mark.parametrize("settings", [PATIENT])
def test_the_run_of_a_worker_that_only_slept_goes_on_unharmed(
    server: Program, make_worker: Make, tmp_path: Path
) -> None:
    worker = make_worker("gpu=true", home=tmp_path / "far", host="far")
    run_id = server.api.start(_long(tmp_path))
    wait_for("the first step", lambda: len(_witness(tmp_path)) == 1, seconds=60)
    worker.send(signal.SIGSTOP)
    wait_for("the reason", lambda: _reason(server, run_id).startswith("owner lost since "), seconds=30)
    worker.send(signal.SIGCONT)
    wait_for("a sign of life", lambda: not _reason(server, run_id), seconds=30)
    (tmp_path / "go").touch()
    ended = server.api.ended(run_id, seconds=60)
    assert ended["statusLabel"] == "succeeded"
    assert _witness(tmp_path) == [f"{run_id} first", f"{run_id} second"]


@elsewhere
@pytest.mark.parametrize("settings", [IMPATIENT])
def test_a_worker_that_was_fenced_off_while_it_slept_ends_its_step_and_writes_nothing_more(
    server: Program, make_worker: Make, tmp_path: Path
) -> None:
    worker = make_worker("gpu=true", home=tmp_path / "far", host="far")
    run_id = server.api.start(_long(tmp_path))
    wait_for("the first step", lambda: len(_witness(tmp_path)) == 1, seconds=60)
    worker.send(signal.SIGSTOP)
    ended = server.api.ended(run_id, seconds=90)
    events = store.query(server.database_url, "SELECT * FROM run_events ORDER BY seq")
    worker.send(signal.SIGCONT)
    wait_for("the worker to notice", lambda: "has another owner now" in worker.log_text(), seconds=30)
    wait_for("the end of its step", lambda: not worker.shims(), seconds=30)
    assert ended["statusLabel"] == "failed"
    assert store.query(server.database_url, "SELECT * FROM run_events ORDER BY seq") == events
    assert _witness(tmp_path) == [f"{run_id} first"]
