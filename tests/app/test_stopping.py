"""Runs that are asked to stop (runtime 19)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from dagbook.clock import now
from dagbook.db.database import WriteConnection
from dagbook.db.models.run import Run, RunRequest
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import StopRequest
from dagbook.main import Server
from tests.app.dagbook import Dagbook
from tests.waiting import until_gone, until_written

WAITING = "echo ready; sleep 30"


async def test_a_stopped_run_is_aborted_what_waited_never_starts_and_the_handlers_run(dagbook: Dagbook) -> None:
    spec = f"""
steps:
  - {{name: a, command: {WAITING}}}
  - {{name: b, command: "true"}}
handlerOn:
  abort: {{command: echo $DAG_RUN_STATUS}}
  exit: {{command: echo $DAG_RUN_STATUS}}
"""
    run_id = await dagbook.start(spec)
    await dagbook.running(run_id, "a", "ready")
    ended = await dagbook.stop(run_id)
    assert (ended.status, ended.statuses) == ("aborted", ["aborted", "not_started"])
    assert await ended.log("onCancel") == await ended.log("onExit") == "aborted"


async def test_a_step_is_told_to_stop_by_the_signal_it_asks_for(dagbook: Dagbook) -> None:
    spec = """
steps:
  - name: a
    signalOnStop: SIGINT
    script: |
      trap 'echo interrupted; exit 0' INT
      trap 'echo terminated; exit 0' TERM
      echo ready
      while :; do sleep 0.05; done
"""
    run_id = await dagbook.start(spec)
    await dagbook.running(run_id, "a", "ready")
    ended = await dagbook.stop(run_id)
    assert (ended.status, ended.statuses) == ("aborted", ["aborted"])
    assert await ended.log("a") == "ready\ninterrupted"


async def test_a_step_that_ignores_the_signal_is_killed_with_its_children(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
maxCleanUpTimeSec: 1
steps:
  - name: a
    script: |
      trap '' TERM
      sleep 30 &
      echo $! > {tmp_path}/pid
      echo ready
      while :; do sleep 0.05; done
"""
    run_id = await dagbook.start(spec)
    await dagbook.running(run_id, "a", "ready")
    ended = await dagbook.stop(run_id)
    assert (ended.status, ended.statuses) == ("aborted", ["aborted"])
    await until_gone(int((tmp_path / "pid").read_text()))


async def test_a_run_is_running_until_the_processes_of_its_steps_are_gone(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: a
    script: |
      trap 'echo leaving' TERM
      echo ready
      while [ ! -e {tmp_path}/go ]; do sleep 0.02 || true; done
"""
    run_id = await dagbook.start(spec)
    await dagbook.running(run_id, "a", "ready")
    for _ in range(2):
        answer = await dagbook.client.post(f"/dag-runs/{dagbook.name}/{run_id}/stop")
        assert (answer.status_code, answer.content) == (200, b"")
    await dagbook.running(run_id, "a", "leaving")
    assert (await dagbook.get(run_id))["statusLabel"] == "running"
    (tmp_path / "go").touch()
    assert (await dagbook.finished(run_id)).status == "aborted"


async def test_a_request_that_is_told_twice_counts_once(dagbook: Dagbook, server: Server, tmp_path: Path) -> None:
    """The request and the beat that looks for requests may both tell of it; a second one would end the handler."""
    spec = f"""
steps:
  - {{name: a, command: {WAITING}}}
handlerOn:
  abort: {{command: 'echo >{tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done'}}
"""
    run_id = await dagbook.start(spec)
    await dagbook.running(run_id, "a", "ready")
    await dagbook.client.post(f"/dag-runs/{dagbook.name}/{run_id}/stop")
    await until_written(tmp_path / "begun")
    [(key, run)] = await server.services.runs.database.read(
        lambda connection: connection.execute(
            select(RunRequest.id, RunRequest.run_id).join(Run, Run.id == RunRequest.run_id).where(Run.run_id == run_id)
        ).all()
    )
    server.supervisor.active_runs.notify_stop(StopRequest(key, run))
    (tmp_path / "go").touch()
    ended = await dagbook.finished(run_id)
    assert ended.details["onCancel"]["statusLabel"] == "succeeded"


async def test_a_request_that_nobody_has_told_of_yet_is_not_settled_by_another_ones_answer(
    dagbook: Dagbook, server: Server
) -> None:
    """As when two servers are asked to end one run, and its owner has heard of the first request only."""
    run_id = await dagbook.start(
        "maxCleanUpTimeSec: 600\nsteps:\n"
        """  - {name: a, shell: sh, command: "trap '' TERM; echo ready; while :; do sleep 0.05; done"}\n"""
    )
    await dagbook.running(run_id, "a", "ready")

    def ask_twice(connection: WriteConnection) -> StopRequest:
        run = connection.execute(select(Run.id).where(Run.run_id == run_id)).scalar_one()
        first = runs.add_stop_request(connection, run, None, now())
        runs.add_stop_request(connection, run, None, now(), at_once=True)
        return first

    server.supervisor.active_runs.notify_stop(await server.services.runs.database.write(ask_twice))
    ended = await dagbook.finished(run_id)
    assert ended.status == "aborted"
