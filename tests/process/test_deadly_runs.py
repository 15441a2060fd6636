"""A run that kills the server which continues it harms neither other runs nor the next servers for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from dagbook.db.models.run import RunAttempt
from tests.process import conftest, invariants, processes, store
from tests.process.program import Program, node
from tests.process.server import ServerError
from tests.process.waiting import wait_for

# The shell of a command in backticks is a child of the server, which evaluates the texts of the step.
DEADLY = """
handlerOn:
  cancel:
    command: touch {directory}/handled
steps:
  - name: first
    command: echo $$ >{directory}/first; exec sleep 300
  - name: deadly
    depends: []
    env:
      - DEADLY: "`[ -e {directory}/mild ] || kill -9 $PPID`"
    command: touch {directory}/deadly
"""
SOUND = """
steps:
  - name: first
    command: |
      echo x >>{directory}/sound-{number}
      while [ ! -e {directory}/go ]; do sleep 0.05; done
  - name: second
    command: echo done
"""
_DEATHS = 4  # of the server that started the run, and of three that took it over
_SOUND = 3


class LeavingRuns(Program):
    """A server that leaves runs alone."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--leave-runs"]


@pytest.fixture
def server(tmp_path: Path, make_url: Callable[[Path], str]) -> Iterator[Program]:
    program = Program(tmp_path / "home", make_url(tmp_path / "home"))
    try:
        yield program.start()
    finally:
        conftest.end(program)
    assert invariants.find_violations(program.database_url) == []


def _start_deadly(server: Program, directory: Path) -> None:
    """Start the run, which kills the server; its first step goes on."""
    spec = f"type: graph\n{DEADLY.format(directory=directory)}"
    server.api.start(spec, name="deadly", run_id="deadly")
    wait_for("the death of the server", lambda: not server.is_alive())
    wait_for("the first step", lambda: (directory / "first").exists() and (directory / "first").read_text())
    server.kill()


def _status(server: Program, name: str) -> str:
    return str(server.api.run(name, name=name)["statusLabel"])


def _row(server: Program) -> Any:
    statement = "SELECT error, takeovers FROM runs JOIN run_attempts ON run_attempts.run_id = runs.id"
    return store.query(server.database_url, f"{statement} WHERE dag_name = 'deadly'")[0]


def _live(server: Program) -> bool:
    """Let a server live until the run has killed it or is over; returns whether the server was killed."""
    try:
        server.start()
        wait_for("its end", lambda: not server.is_alive() or _row(server).error, seconds=60)
    except ServerError:  # killed before it had answered
        return True
    return not server.is_alive()


def test_a_run_that_kills_every_server_is_failed_and_the_others_go_on(server: Program, tmp_path: Path) -> None:
    sound = [f"sound-{number}" for number in range(_SOUND)]
    for number, name in enumerate(sound):
        server.api.start(SOUND.format(directory=tmp_path, number=number), name=name, run_id=name)
    wait_for("their steps", lambda: all((tmp_path / name).exists() for name in sound))
    _start_deadly(server, tmp_path)
    deaths = 1
    while _live(server):
        server.kill()
        deaths += 1
        assert deaths <= _DEATHS
    assert deaths == _DEATHS
    run = server.api.run("deadly", name="deadly")
    assert (run["statusLabel"], node(run, "deadly")["statusLabel"]) == ("failed", "failed")
    assert "3 processes in a row died" in _row(server).error
    wait_for("the end of its first step", lambda: not processes.is_alive(int((tmp_path / "first").read_text())))
    assert not (tmp_path / "deadly").exists()
    (tmp_path / "go").touch()
    assert {server.api.ended(name, name=name)["statusLabel"] for name in sound} == {"succeeded"}
    assert [(tmp_path / name).read_text() for name in sound] == ["x\n"] * _SOUND


def test_a_run_that_has_stopped_killing_is_not_suspected_any_more(server: Program, tmp_path: Path) -> None:
    _start_deadly(server, tmp_path)
    _live(server)
    server.kill()
    assert _row(server).takeovers == 1
    (tmp_path / "mild").touch()
    server.start()
    wait_for("its step", (tmp_path / "deadly").exists)
    wait_for("the end of the suspicion", lambda: _row(server).takeovers == 0)
    server.api.stop("deadly", name="deadly")
    assert server.api.ended("deadly", name="deadly")["statusLabel"] == "aborted"
    assert (tmp_path / "handled").exists()


def _leave_suspected(server: Program, directory: Path, deaths: int) -> None:
    """Start a run that waits for its first step, and kill the server; its row tells of as many deaths."""
    (directory / "mild").touch()
    server.api.start(f"type: chain\n{DEADLY.format(directory=directory)}", name="deadly", run_id="deadly")
    wait_for("the first step", lambda: (directory / "first").exists() and (directory / "first").read_text())
    server.kill()
    store.write(server.database_url, lambda connection: connection.execute(update(RunAttempt).values(takeovers=deaths)))


def test_a_suspected_run_can_be_stopped_before_its_last_take_over(server: Program, tmp_path: Path) -> None:
    _leave_suspected(server, tmp_path, 2)
    server.start()
    server.api.stop("deadly", name="deadly")
    run = server.api.run("deadly", name="deadly")
    assert (run["statusLabel"], node(run, "first")["statusLabel"]) == ("aborted", "aborted")
    assert "while no process ran it" in node(run, "first")["error"]
    assert not (tmp_path / "handled").exists()


def test_a_suspected_run_that_was_asked_to_stop_is_not_taken_over(server: Program, tmp_path: Path) -> None:
    _leave_suspected(server, tmp_path, 1)
    asked = "INSERT INTO run_requests (run_id, kind, asked_at) SELECT id, 'stop', created_at FROM runs"
    store.write(server.database_url, lambda connection: connection.exec_driver_sql(asked))
    server.start()
    run = server.api.ended("deadly", name="deadly")
    assert (run["statusLabel"], node(run, "first")["statusLabel"]) == ("aborted", "aborted")
    assert "while no process ran it" in node(run, "first")["error"]
    assert not (tmp_path / "handled").exists()


def test_a_server_that_leaves_runs_alone_ends_a_deadly_one_without_executing_anything_of_it(
    server: Program, tmp_path: Path
) -> None:
    server.api.start(SOUND.format(directory=tmp_path, number=0), name="sound", run_id="sound")
    wait_for("the step", (tmp_path / "sound-0").exists)
    _start_deadly(server, tmp_path)
    leaving = LeavingRuns(server.home, server.database_url, log=tmp_path / "leaving.log")
    try:
        leaving.start()
        assert (_status(leaving, "deadly"), _status(leaving, "sound")) == ("running", "running")
        refused = leaving.api.post_run("steps: [echo on]")
        assert (refused.status_code, "--leave-runs" in refused.json()["message"]) == (503, True)
        leaving.api.stop("deadly", name="deadly")
        assert _status(leaving, "deadly") == "aborted"
        wait_for("the end of its step", lambda: not processes.is_alive(int((tmp_path / "first").read_text())))
        assert leaving.terminate() == 0
    finally:
        leaving.kill()
    assert not (tmp_path / "handled").exists()
    assert not (tmp_path / "deadly").exists()
    (tmp_path / "go").touch()
    server.start()
    assert server.api.ended("sound", name="sound")["statusLabel"] == "succeeded"
    assert (tmp_path / "sound-0").read_text() == "x\n"


def test_a_stop_of_a_left_run_ends_its_sub_runs_and_is_in_the_audit(server: Program, tmp_path: Path) -> None:
    spec = f"""
steps:
  - name: calls
    call: called
---
name: called
steps:
  - name: only
    command: echo $$ >{tmp_path}/first; exec sleep 300
"""
    server.api.start(spec, run_id="caller")
    wait_for("the called step", lambda: (tmp_path / "first").exists() and (tmp_path / "first").read_text())
    server.kill()
    leaving = LeavingRuns(server.home, server.database_url, log=tmp_path / "leaving.log")
    try:
        leaving.start()
        leaving.api.stop("caller")
        wait_for("the end of its step", lambda: not processes.is_alive(int((tmp_path / "first").read_text())))
    finally:
        leaving.kill()
    assert [row.status for row in store.query(server.database_url, "SELECT status FROM runs")] == [3, 3]
    stops = "SELECT name, outcome FROM audit WHERE action = 'run.stop'"
    assert [tuple(row) for row in store.query(server.database_url, stops)] == [("flow/caller", "done")]
