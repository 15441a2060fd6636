"""A run that the server cannot drive ends with the reason, and harms no other.

One server begins a run for each way to break one and is killed; the next one has all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

from dagbook.db.database import WriteConnection
from dagbook.db.models.run import RunAttempt
from tests.process import conftest, invariants, store
from tests.process.program import Program, node
from tests.process.scene import SPEC as SCENE
from tests.process.scene import Scene
from tests.process.waiting import wait_for

SPEC = """
handlerOn:
  exit:
    command: echo never
steps:
  - name: first
    command: |
      echo {name} >>{directory}/witness
      while [ ! -e {directory}/go ]; do sleep 0.05; done
  - name: second
    command: echo never
"""
# How a run is broken, by statements that get its key, and a word of the reason.
BROKEN = {
    "definition-redacted": (
        """UPDATE definitions SET spec = NULL, redacted_at = created_at, redacted_by = 'somebody'
           WHERE hash = (SELECT definition_hash FROM runs WHERE id = {run})""",
        "definition was redacted or deleted",
    ),
    "node-unreadable": ("""UPDATE nodes SET detail = '{{"kill":7}}' WHERE run_id = {run} AND position = 0""", "kill"),
    "state-unreadable": ("""UPDATE run_attempts SET state = '{{"phase"' WHERE run_id = {run}""", "DecodeError"),
    "driver-fails": (
        """INSERT INTO nodes (run_id, attempt, position, name, handler, status, error)
           SELECT run_id, attempt, 2, 'stranger', handler, 0, '' FROM nodes WHERE run_id = {run} AND position = 0""",
        "out of range",
    ),
}
REDACTED = "UPDATE definitions SET spec = NULL, redacted_at = created_at, redacted_by = 'somebody'"
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_PATIENCE = 60


class Broken(NamedTuple):
    """What became of the runs, by the way they were broken."""

    runs: dict[str, dict[str, Any]]
    reasons: dict[str, str]
    sound: str
    program: Program
    witness: list[str]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, make_url: Callable[[Path], str]) -> Iterator[Broken]:
    directory = tmp_path_factory.mktemp("broken")
    program = Program(directory / "home", make_url(directory / "home"))
    try:
        yield _break(program.start(), directory)
    finally:
        conftest.end(program)
    assert invariants.find_violations(program.database_url) == []


def _break(program: Program, directory: Path) -> Broken:
    witness = directory / "witness"
    for name in BROKEN:
        program.api.start(SPEC.format(name=name, directory=directory), name=name, run_id="broken")
    wait_for("the steps", lambda: witness.exists() and len(witness.read_text().splitlines()) == len(BROKEN))
    program.kill()
    store.write(program.database_url, _spoil)
    program.start()
    sound = program.api.start("steps:\n  - echo sound\n", name="sound")
    ended = program.api.ended(sound, name="sound")
    errors = "SELECT dag_name, error FROM runs WHERE run_id = 'broken' AND status = 2"
    wait_for("their end", lambda: len(store.query(program.database_url, errors)) == len(BROKEN), seconds=_PATIENCE)
    wait_for("the end of their processes", lambda: not program.shims())
    runs = {name: program.api.run("broken", name=name) for name in BROKEN}
    reasons = {row.dag_name: row.error for row in store.query(program.database_url, errors)}
    return Broken(runs, reasons, ended["statusLabel"], program, sorted(witness.read_text().splitlines()))


def _spoil(connection: WriteConnection) -> None:
    keys = {row.dag_name: row.id for row in connection.exec_driver_sql("SELECT dag_name, id FROM runs")}
    for name, (statement, _) in BROKEN.items():
        connection.exec_driver_sql(statement.format(run=keys[name]))
    # A run that was accepted just now is left alone for a while.
    connection.execute(update(RunAttempt).values(opened_at=_LONG_AGO))


@pytest.mark.parametrize("name", BROKEN)
def test_a_run_that_cannot_be_driven_ends_as_failed_with_the_reason(name: str, broken: Broken) -> None:
    assert broken.runs[name]["statusLabel"] == "failed"
    assert BROKEN[name][1] in broken.reasons[name]


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "definition-redacted"])
def test_its_running_step_fails_and_no_other_begins(name: str, broken: Broken) -> None:
    states = [node(broken.runs[name], step)["statusLabel"] for step in ("first", "second")]
    assert states == ["failed", "not_started"]


def test_no_step_of_it_begins_again(broken: Broken) -> None:
    assert broken.witness == sorted(BROKEN)


def test_other_runs_are_driven_meanwhile(broken: Broken) -> None:
    assert broken.sound == "succeeded"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_failure_is_logged_once(count: int, broken: Broken) -> None:
    assert broken.program.log_text().count(f"failed ({count} of 3)") == len(BROKEN)
    assert broken.program.log_text().count("was finished as failed") == len(BROKEN)


def test_a_step_of_it_that_was_about_to_begin_never_does(tmp_path: Path, make_url: Callable[[Path], str]) -> None:
    """The server that was thought dead may only have slept between its commit and the step's process."""
    program = Program(tmp_path / "home", make_url(tmp_path / "home"))
    try:
        run_id = program.start().api.start(SCENE.format(directory=tmp_path))
        wait_for("the step", (tmp_path / "witness").exists)
        program.kill()
        scene = Scene(tmp_path, program.database_url, run_id)
        scene.never_begin()
        store.write(program.database_url, lambda connection: connection.exec_driver_sql(REDACTED))
        program.start()
        assert program.api.ended(run_id, seconds=_PATIENCE)["statusLabel"] == "failed"
        with pytest.raises(FileExistsError):
            Path(scene.files.started).touch(exist_ok=False)
    finally:
        conftest.end(program)
    assert invariants.find_violations(program.database_url) == []
