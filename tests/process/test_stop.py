"""Which processes belong to a step, and that none of them is left when it is made to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process import processes
from tests.process.program import Prefixed, Program, node
from tests.process.waiting import wait_for

# What becomes of processes has nothing to do with the database.
pytestmark = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)


def _alive(path: Path) -> bool:
    return path.exists() and path.read_text().strip() != "" and processes.is_alive(int(path.read_text()))


# Both refuse to end softly; one of them has left the group of its parent, but not its session.
STUBBORN = """
maxCleanUpTimeSec: 1
{limit}
steps:
  - name: family
    command: |
      trap '' TERM
      sh -c 'trap "" TERM; echo $$ >{child}; while :; do sleep 0.1; done' &
      set -m
      sh -c 'trap "" TERM; echo $$ >{grandchild}; while :; do sleep 0.1; done' &
      set +m
      while :; do sleep 0.1; done
{step_limit}
"""


def _wait_for_family(child: Path, grandchild: Path) -> None:
    wait_for("the step's processes", lambda: _alive(child) and _alive(grandchild))


@pytest.mark.parametrize(
    ("limit", "step_limit", "status"),
    [
        ("", "", "aborted"),
        ("timeoutSec: 2", "", "failed"),
        ("", "    timeoutSec: 2", "failed"),
    ],
    ids=["stop", "timeout-of-the-run", "timeout-of-the-step"],
)
def test_the_end_by_force_leaves_no_process_of_the_session(
    program: Program, tmp_path: Path, limit: str, step_limit: str, status: str
) -> None:
    child, grandchild = tmp_path / "child", tmp_path / "grandchild"
    spec = STUBBORN.format(limit=limit, step_limit=step_limit, child=child, grandchild=grandchild)
    run_id = program.api.start(spec)
    _wait_for_family(child, grandchild)
    if status == "aborted":
        program.api.stop(run_id)
    run = program.api.ended(run_id)
    assert run["statusLabel"] == status
    assert not _alive(child)
    assert not _alive(grandchild)


def test_a_stop_asked_of_a_run_reaches_it_after_a_change_of_servers(program: Program, tmp_path: Path) -> None:
    child, grandchild = tmp_path / "child", tmp_path / "grandchild"
    run_id = program.api.start(STUBBORN.format(limit="", step_limit="", child=child, grandchild=grandchild))
    _wait_for_family(child, grandchild)
    program.api.stop(run_id)
    program.kill()
    program.start()
    run = program.api.ended(run_id)
    assert (run["statusLabel"], node(run, "family")["statusLabel"]) == ("aborted", "aborted")
    assert not _alive(child)
    assert not _alive(grandchild)


def test_a_daemon_that_closed_its_output_is_left_alone(program: Program, tmp_path: Path) -> None:
    daemon = tmp_path / "daemon"
    spec = f"""
steps:
  - name: only
    command: sh -c 'echo $$ >{daemon}; exec sleep 30' >/dev/null 2>&1 &
"""
    run_id = program.api.start(spec)
    assert program.api.ended(run_id)["statusLabel"] == "succeeded"
    wait_for("the daemon", lambda: _alive(daemon))
    program.terminate()
    program.start()
    assert _alive(daemon)
    processes.kill(int(daemon.read_text()))


def test_a_background_process_that_still_writes_belongs_to_the_step(program: Program, tmp_path: Path) -> None:
    go = tmp_path / "go"
    spec = f"""
steps:
  - name: only
    command: |
      echo first
      (while [ ! -e {go} ]; do sleep 0.05; done; echo last) &
"""
    run_id = program.api.start(spec)
    wait_for("the first line", lambda: program.api.log(run_id, "only") == "first")
    wait_for("the end of the shell", lambda: not program.shims())
    assert program.api.run(run_id)["statusLabel"] == "running"
    go.touch()
    assert program.api.ended(run_id)["statusLabel"] == "succeeded"
    assert program.api.log(run_id, "only") == "first\nlast"


_SIGNALS = """
steps:
  - name: only
    command: |
      grep -E '^Sig(Blk|Ign)' /proc/self/status
      trap 'echo interrupted; exit 3' INT
      touch {ready}
      while :; do sleep 0.1; done
    signalOnStop: SIGINT
"""


def test_steps_get_default_signals_whatever_their_server_inherited(program: Program, tmp_path: Path) -> None:
    program.terminate()
    inherits = ["env", "--ignore-signal=INT", "--ignore-signal=QUIT", "--ignore-signal=HUP", "--block-signal=USR1"]
    server = Prefixed(inherits, program.home, program.database_url)
    try:
        server.start()
        run_id = server.api.start(_SIGNALS.format(ready=tmp_path / "ready"))
        wait_for("the step", (tmp_path / "ready").exists)
        server.api.stop(run_id)
        server.api.ended(run_id)
        blocked, ignored, trapped = server.api.log(run_id, "only").splitlines()
        assert {int(line.split()[1], 16) for line in (blocked, ignored)} == {0}
        assert trapped == "interrupted"
    finally:
        server.clear()
