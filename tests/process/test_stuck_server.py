"""A server in which something hangs ends when it is told to, and a server answers before it takes runs over."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dagbook.cli.server import shutdown
from tests.process import invariants
from tests.process.program import ROOT, Program
from tests.process.waiting import wait_for

# What hangs has nothing to do with the database.
pytestmark = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)
_LIMIT_SECONDS = 2.0
_PROMISED_SECONDS = 20
SPEC = """
preconditions:
  - condition: "{condition}"
    expected: on
steps:
  - command: echo on
"""


class Stuck(Program):
    """A server in which something hangs, with a short time limit of its stop."""

    def __init__(self, what: str, home: Path, database_url: str) -> None:
        super().__init__(home, database_url)
        self._what = what

    def _program(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "tests.process.stuck", self._what, str(_LIMIT_SECONDS), *words]

    def _environment(self) -> dict[str, str]:
        own = super()._environment()
        return own | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), own.get("PYTHONPATH", "")]))}


@pytest.mark.parametrize("what", ["loop", "thread"])
def test_a_signal_ends_a_server_whose_evaluation_hangs_and_the_next_one_ends_the_run(
    tmp_path: Path, make_url: Callable[[Path], str], what: str
) -> None:
    assert shutdown.LIMIT_SECONDS < _PROMISED_SECONDS
    stuck = Stuck(what, tmp_path / "home", make_url(tmp_path / "home"))
    try:
        stuck.start().api.start(SPEC.format(condition="on"), run_id="stuck")
        begin = time.monotonic()
        stuck.end(signal.SIGTERM, seconds=_LIMIT_SECONDS + 8)
        assert time.monotonic() - begin >= _LIMIT_SECONDS
    finally:
        stuck.clear()
    next_one = Program(tmp_path / "home", stuck.database_url)
    try:
        assert next_one.start().api.ended("stuck")["statusLabel"] == "succeeded"
    finally:
        next_one.clear()
    assert invariants.find_violations(next_one.database_url) == []


def test_a_command_in_backticks_that_hangs_does_not_delay_the_end_of_its_server(
    program: Program, tmp_path: Path
) -> None:
    program.api.start(SPEC.format(condition=f"`touch {tmp_path}/evaluated; sleep 300`"), run_id="hangs")
    wait_for("the evaluation", (tmp_path / "evaluated").exists)
    assert program.terminate() == 0


def test_a_server_answers_before_it_takes_runs_over(program: Program, tmp_path: Path) -> None:
    program.api.start(f"steps:\n  - while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n", run_id="left")
    program.kill()
    stuck = Stuck("take-over", program.home, program.database_url)
    try:
        stuck.start()
        assert stuck.api.run("left")["statusLabel"] == "running"
        stuck.end(signal.SIGTERM, seconds=_LIMIT_SECONDS + 8)
    finally:
        stuck.kill()
    (tmp_path / "go").touch()
    assert program.start().api.ended("left")["statusLabel"] == "succeeded"
