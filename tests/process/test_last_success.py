"""A cursor that runs hand on by their outputs, over servers that are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.program import Program
from tests.process.waiting import wait_for

SPEC = """
params:
  - SINCE: "${{DAG_LAST_OUTPUTS.lastId}}"
steps:
  - name: count
    command: echo $(( ${{SINCE:-0}} + 1 ))
    output: LAST_ID
  - name: gate
    command: touch {folder}/here-${{LAST_ID}}; until [ -e {folder}/go-${{LAST_ID}} ]; do sleep 0.05; done
"""


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.full)])
def test_no_value_is_skipped_or_counted_twice_if_a_server_is_killed_between_output_and_end(
    program: Program, tmp_path: Path, rounds: int
) -> None:
    for number in range(1, rounds + 1):
        run_id = program.api.start(SPEC.format(folder=tmp_path), run_id=f"r{number}")
        wait_for("the gate", (tmp_path / f"here-{number}").exists)
        program.kill()
        (tmp_path / f"go-{number}").touch()
        program.start()
        run = program.api.ended(run_id)
        assert (run["statusLabel"], run["paramsList"]) == ("succeeded", [f"SINCE={number - 1 or ''}"])
