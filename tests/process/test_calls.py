"""Runs that steps call outlive their server like steps do, and each is called once."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.process.program import Program
from tests.process.waiting import wait_for

SPEC = """
steps:
  - name: fan
    call: kid
    parallel: {{items: [one, two, three], maxConcurrent: 2}}
    output: RESULT
  - name: next
    command: echo "${{RESULT.summary.succeeded}}"
---
name: kid
steps:
  - name: wait
    command: echo $1 $$ >>{witness}; while [ ! -e {go} ]; do sleep 0.02; done; echo $1
    output: SAID
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_called_runs_go_on_while_their_server_is_exchanged(
    program: Program, tmp_path: Path, how: signal.Signals
) -> None:
    witness, go = tmp_path / "witness", tmp_path / "go"
    run_id = program.api.start(SPEC.format(witness=witness, go=go))
    wait_for("two sub-runs", lambda: witness.exists() and len(witness.read_text().splitlines()) == 2)
    program.end(how)
    program.start()
    go.touch()
    run = program.api.ended(run_id)
    assert run["statusLabel"] == "succeeded"
    result = json.loads(program.api.log(run_id, "fan"))
    assert result["outputs"] == [{"SAID": "one"}, {"SAID": "two"}, {"SAID": "three"}]
    assert sorted(line.split()[0] for line in witness.read_text().splitlines()) == ["one", "three", "two"]
    assert program.api.log(run_id, "next") == "3"


def test_called_runs_that_end_while_no_server_lives_count_as_they_ended(program: Program, tmp_path: Path) -> None:
    witness, go = tmp_path / "witness", tmp_path / "go"
    run_id = program.api.start(SPEC.format(witness=witness, go=go))
    wait_for("two sub-runs", lambda: witness.exists() and len(witness.read_text().splitlines()) == 2)
    program.kill()
    go.touch()
    program.start()
    assert program.api.ended(run_id)["statusLabel"] == "succeeded"
    assert len(witness.read_text().splitlines()) == 3
