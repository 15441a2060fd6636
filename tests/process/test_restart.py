"""A step outlives its server: stopped in order or killed, the next one goes on where it left off."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.process import processes, store
from tests.process.program import Program, node
from tests.process.waiting import wait_for

SLOW = """
steps:
  - name: slow
    command: |
      echo "$$" >>{witness}
      for line in 1 2 3 4 5 6 7 8; do echo line $line; sleep 0.25; done
  - name: next
    command: echo after
"""
WHOLE = "\n".join(f"line {number}" for number in range(1, 9))


on_sqlite_only = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)


def _begin(program: Program, witness: Path) -> str:
    run_id = program.api.start(SLOW.format(witness=witness))
    wait_for("the step", lambda: witness.exists() and "line 1" in program.api.log(run_id, "slow"))
    return run_id


@pytest.mark.always
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_step_goes_on_while_its_server_is_exchanged(program: Program, tmp_path: Path, how: signal.Signals) -> None:
    witness = tmp_path / "witness"
    run_id = _begin(program, witness)
    pid = int(witness.read_text())
    status = program.end(how)
    assert status == (-how if how is signal.SIGKILL else 0)
    assert processes.is_alive(pid)
    program.start()
    run = program.api.ended(run_id)
    assert run["statusLabel"] == "succeeded"
    assert program.api.log(run_id, "slow") == WHOLE
    assert witness.read_text().split() == [str(pid)]


def test_a_step_that_ends_while_no_server_lives_ends_with_its_own_exit_code(program: Program, tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"echo begun; while [ ! -e {go} ]; do sleep 0.05; done; echo ended; exit 7"
    run_id = program.api.start(f"steps:\n  - name: only\n    command: '{wait}'\n")
    wait_for("the step", lambda: program.api.log(run_id, "only") == "begun")
    program.kill()
    go.touch()
    wait_for("the end of the step", lambda: not processes.with_argument(str(go)))
    program.start()
    run = program.api.ended(run_id)
    only = node(run, "only")
    assert (run["statusLabel"], only["error"]) == ("failed", "exit status 7")
    assert program.api.log(run_id, "only") == "begun\nended"


@on_sqlite_only
def test_a_retry_that_is_waited_for_comes_after_a_restart_too(program: Program, tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    spec = f"""
steps:
  - name: second-time-lucky
    command: test -e {tried} || {{ touch {tried}; exit 1; }}
    retryPolicy: {{limit: 1, intervalSec: 2}}
"""
    run_id = program.api.start(spec)
    wait_for("the first try", lambda: program.api.run(run_id)["nodes"][0]["retryCount"] == 1)
    program.kill()
    program.start()
    run = program.api.ended(run_id)
    assert (run["statusLabel"], run["nodes"][0]["doneCount"]) == ("succeeded", 1)


@on_sqlite_only
def test_an_orderly_end_is_noted_and_leaves_its_runs_to_others(program: Program, tmp_path: Path) -> None:
    _begin(program, tmp_path / "witness")
    program.end(signal.SIGTERM)
    stopped = store.query(program.database_url, "SELECT stopped_at FROM services WHERE kind = 'server'")
    assert [row.stopped_at is not None for row in stopped] == [True]
    assert store.query(program.database_url, "SELECT status FROM runs") == [(1,)]


@on_sqlite_only
def test_the_files_of_a_run_that_ended_with_its_server_are_removed_by_the_next(program: Program) -> None:
    run_id = program.api.start("steps:\n  - echo done\n")
    program.api.ended(run_id)
    program.kill()
    (row,) = store.query(program.database_url, "SELECT id FROM runs")
    spool = program.home / "spool" / f"{row.id}_1_0-only.out"
    spool.write_text("done\n")
    strange = program.home / "spool" / "12345_1_0-only.out"
    strange.write_text("")
    program.start()
    wait_for("the removal", lambda: not spool.exists())
    assert strange.exists()
