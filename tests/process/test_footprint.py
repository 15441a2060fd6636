"""What a server weighs: idle, with fifty steps at once, and while a step prints more than it may keep in memory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import conftest, invariants, processes
from tests.process.program import Program
from tests.process.waiting import wait_for

_MEBIBYTE = 1024 * 1024
_PRINTED_MEGABYTES = int(os.environ.get("DAGBOOK_TEST_PRINTED_MEGABYTES", "200"))  # 1000 is the full size
_LINE = "0123456789" * 9 + "01234567"  # 99 bytes with its end, and a number of ten digits
_STEPS = 50


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path / "home")
    try:
        yield program.start()
    finally:
        conftest.end(program)
    assert invariants.find_violations(program.database_url) == []


def test_an_idle_server_and_fifty_steps_at_once_stay_small(server: Program, tmp_path: Path) -> None:
    assert server.api.run(server.api.start("steps:\n  - echo warm\n"))
    idle = processes.resident_bytes(server.pid)
    assert idle < 138 * _MEBIBYTE  # 14 are libraries that httpx and litestar load where they are installed
    gate = tmp_path / "gate"
    waiting = f"maxActiveRuns: 100\nsteps:\n  - flock --shared {gate} true\n"  # ends when the lock is given back
    with gate.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_ids = [server.api.start(waiting) for _ in range(_STEPS)]
        wait_for("all steps at once", lambda: len(server.shims()) == _STEPS)
        weight = processes.proportional_bytes([server.pid, *server.shims()])
    assert weight < 200 * _MEBIBYTE
    assert {server.api.ended(run_id)["statusLabel"] for run_id in run_ids} == {"succeeded"}


@pytest.mark.timeout(300)
def test_a_step_that_prints_without_measure_leaves_the_server_small(server: Program) -> None:
    lines = _PRINTED_MEGABYTES * 10_000
    program = f'BEGIN {{ for (i = 1; i <= {lines}; i++) printf "%010d {_LINE[:88]}\\n", i }}'
    run_id = server.api.start(f"steps:\n  - name: loud\n    command: awk '{program}'\n")
    assert server.api.ended(run_id, seconds=240)["statusLabel"] == "succeeded"
    assert processes.peak_bytes(server.pid) < 200 * _MEBIBYTE
    first = server.api.log(run_id, "loud", head=2).split("\n")
    last = server.api.log(run_id, "loud", tail=2).split("\n")
    assert [int(line[:10]) for line in (*first, *last)] == [1, 2, lines - 1, lines]
    assert {len(line) for line in (*first, *last)} == {99}
