"""Servers that are killed while they look at the clock, and two that look at it at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.failover import FailoverExperiment, Plan
from tests.chaos.sandbox import Sandbox
from tests.process import conftest, invariants, processes, store
from tests.process.postgres import Cluster
from tests.process.program import ROOT, Program
from tests.process.waiting import wait_for

_DAGS = 80
_KILLS = 4


class Ticking:
    """Servers, one after the other, that all look at the same minute."""

    def __init__(self, program: Program, minute: datetime, log: Path) -> None:
        self._program = program
        self._minute = minute
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        begin = self._log.stat().st_size if self._log.exists() else 0
        arguments = (str(self._program.home), self._program.database_url, self._minute.isoformat())
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.process.ticking", *arguments],
                cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._begin = begin
        self.wait("open")

    def wait(self, word: str) -> None:
        assert self._process is not None

        def look() -> bool:
            told = self._log.read_bytes()[self._begin :].decode(errors="replace")
            assert self._process is not None
            assert self._process.poll() is None, told
            return f"{word}\n" in told

        wait_for(word, look, seconds=60)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def program(tmp_path: Path, make_url: Callable[[Path], str]) -> Iterator[Program]:
    """A server that starts nothing by itself."""
    home = tmp_path / "home"
    server = Program(home, make_url(home), schedules=False)
    yield server.start()
    conftest.end(server)
    assert invariants.find_violations(server.database_url) == []


@pytest.fixture
def ticking(program: Program, tmp_path: Path) -> Iterator[Ticking]:
    for number in range(_DAGS):
        step = f"echo {number} $DAG_RUN_ID >>{tmp_path}/witness"
        spec = f"schedule: '* * * * *'\nsteps: [{{name: a, command: '{step}'}}]\n"
        assert program.api.client.post("/dags", json={"name": f"d{number}", "spec": spec}).is_success
    program.terminate()
    one = Ticking(program, datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=1), tmp_path / "log")
    yield one
    one.kill()
    processes.kill_sessions(str(program.home / "spool"))


@pytest.mark.timeout(180)
def test_servers_that_are_killed_in_the_middle_of_a_tick_start_each_dag_once(
    ticking: Ticking, program: Program, tmp_path: Path
) -> None:
    met = [0]
    while met[-1] < _DAGS and len(met) <= _KILLS:
        ticking.launch()
        wait_for("another slot", lambda: _count_slots(program) > met[-1], seconds=60)
        ticking.kill()
        met.append(_count_slots(program))
    assert met[1] < _DAGS, "no kill met a tick half done: the test has shown nothing"
    ticking.launch()
    ticking.wait("ticked")
    begun = wait_for("all steps", lambda: _begun(tmp_path / "witness", _DAGS), seconds=60)
    slots = store.query(program.database_url, "SELECT outcome, run_id FROM schedule_slots")
    runs = store.query(program.database_url, "SELECT id FROM runs")
    assert sorted(int(line.split()[0]) for line in begun) == list(range(_DAGS))
    assert {slot.outcome for slot in slots} == {"started"}
    assert {slot.run_id for slot in slots} == {run.id for run in runs}
    assert len(slots) == len(runs) == _DAGS
    wait_for("the end of all runs", lambda: _is_quiet(program), seconds=60)


def _count_slots(program: Program) -> int:
    return len(store.query(program.database_url, "SELECT minute FROM schedule_slots"))


def _begun(path: Path, least: int) -> list[str] | None:
    lines = path.read_text().splitlines() if path.exists() else []
    return lines if len(lines) >= least else None


def _is_quiet(program: Program) -> bool:
    return not store.query(program.database_url, "SELECT id FROM runs WHERE status IN (0, 1, 5)")


@pytest.mark.timeout(240)
def test_when_the_scheduler_that_starts_what_is_due_is_killed_the_other_misses_and_doubles_nothing(
    tmp_path: Path, cluster: Cluster
) -> None:
    """The one test that waits for a real minute."""
    plan = Plan(rounds=1, dags=120, seed=11, always_within=True, most_seconds=45)  # of a machine with other work
    failover = FailoverExperiment(Sandbox(tmp_path, store.make_database(cluster.url)), plan)
    assert failover.run() == []
    assert failover.within == 1, "the kill did not meet a half started minute: the test has shown nothing"
