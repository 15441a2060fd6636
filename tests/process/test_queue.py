"""Runs that wait outlive their server, and several servers serve one queue without letting too many go."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from tests.process.program import Program
from tests.process.waiting import wait_for

_WAITS = """
params: N=0
steps:
  - name: a
    command: |
      echo "begun $N" >>{directory}/witness
      while [ ! -e {directory}/go ]; do sleep 0.05; done
"""
_BRIEF = """
maxActiveRuns: 2
steps:
  - name: a
    command: |
      echo + >>{directory}/witness
      sleep 0.05
      echo - >>{directory}/witness
"""


def _enqueue(program: Program, spec: str, params: str = "") -> str:
    body = {"spec": spec, "name": "flow", "params": params}
    answer = program.api.client.post("/dag-runs/enqueue", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.json()["dagRunId"])


def _witness(directory: Path) -> list[str]:
    path = directory / "witness"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_queued_runs_are_started_in_order_by_the_next_server(
    program: Program, tmp_path: Path, how: signal.Signals
) -> None:
    spec = _WAITS.format(directory=tmp_path)
    run_ids = [_enqueue(program, spec, f"N={number}") for number in range(4)]
    wait_for("the first run", lambda: _witness(tmp_path))
    program.end(how)
    program.start()
    assert [program.api.run(run_id)["statusLabel"] for run_id in run_ids] == ["running", "queued", "queued", "queued"]
    (tmp_path / "go").touch()
    for run_id in run_ids:
        assert program.api.ended(run_id)["statusLabel"] == "succeeded"
    assert _witness(tmp_path) == [f"begun {number}" for number in range(4)]


def test_two_servers_start_no_more_runs_than_the_queue_allows(pair: tuple[Program, Program], tmp_path: Path) -> None:
    spec = _BRIEF.format(directory=tmp_path)
    run_ids = [_enqueue(pair[number % 2], spec) for number in range(16)]
    for number, run_id in enumerate(run_ids):
        assert pair[(number + 1) % 2].api.ended(run_id, seconds=45)["statusLabel"] == "succeeded"
    steps = [1 if line == "+" else -1 for line in _witness(tmp_path)]
    under_way = [sum(steps[: number + 1]) for number in range(len(steps))]
    assert (steps.count(1), max(under_way) <= 2, under_way[-1]) == (16, True, 0)
