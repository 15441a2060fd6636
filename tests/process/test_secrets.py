"""Secrets and the death of servers: the next one masks and goes on, or ends the run, and no disk holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.process import processes, store
from tests.process.program import Program, node
from tests.process.waiting import wait_for

VALUE = "Tr0ub4dor/staple-battery"
MASK = "*******"
SPEC = """
type: chain
secrets: [{{name: SEC, provider: file, key: {directory}/secret.txt}}]
steps:
  - {{name: first, command: 'echo "is $SEC"', output: OUT}}
  - name: second
    stdout: {directory}/copy
    command: |
      echo "begun $SEC"
      printf '%s' "$SEC" | head -c 12
      while [ ! -e {directory}/go ]; do sleep 0.05; done
      printf '%s' "$SEC" | tail -c +13
      echo " and $SEC" >&2
  - name: third
    command: test "$OUT" = "is {value_of}" && test "$SEC" = "{value_of}" && echo "whole $SEC $OUT"
  - name: fourth
    command: printf '%s' "$SEC" | base64; exit 3
"""


def _begin(program: Program, directory: Path) -> str:
    (directory / "secret.txt").write_text(VALUE)
    (directory / "kept.txt").write_text(VALUE)
    run_id = program.api.start(SPEC.format(directory=directory, value_of=f"$(cat {directory}/kept.txt)"))
    wait_for("the second step", lambda: _log(program, run_id, "second").startswith("begun"))
    return run_id


def _log(program: Program, run_id: str, step: str) -> str:
    answer = program.api.client.get(f"/dag-runs/flow/{run_id}/steps/{step}/log")
    return str(answer.json().get("content", ""))


def _told(program: Program, run_id: str) -> str:
    run: dict[str, Any] = program.api.run(run_id)
    logs = [_log(program, run_id, step) for step in ("first", "second", "third", "fourth")]
    return repr((run, logs, program.api.client.get(f"/dag-runs/flow/{run_id}/log").text))


def test_a_server_that_takes_over_masks_and_hands_on_what_is_secret(program: Program, tmp_path: Path) -> None:
    run_id = _begin(program, tmp_path)
    program.kill()
    (tmp_path / "secret.txt").unlink()  # what comes now cannot come from there
    (tmp_path / "go").touch()
    program.start()
    run = program.api.ended(run_id)
    assert [node(run, step)["statusLabel"] for step in ("first", "second", "third", "fourth")] == [
        *["succeeded"] * 3,
        "failed",
    ]
    assert _log(program, run_id, "second") == f"begun {MASK}\n{MASK}"
    assert _log(program, run_id, "third") == f"whole {MASK} is {MASK}"
    assert (tmp_path / "copy").read_text() == f"begun {MASK}\n{MASK}"
    assert VALUE not in _told(program, run_id)
    assert VALUE not in program.log_text()
    assert MASK.encode() in store.everything(program.database_url, program.home)
    assert VALUE.encode() not in store.everything(program.database_url, program.home)


def test_while_a_step_runs_the_database_does_not_hold_its_secret(program: Program, tmp_path: Path) -> None:
    _begin(program, tmp_path)
    assert MASK.encode() in store.everything(program.database_url, program.home)
    assert VALUE.encode() not in store.everything(program.database_url, program.home)


@pytest.mark.parametrize("change", ["another", "damaged"])
def test_a_server_without_the_key_ends_the_run_and_says_why(program: Program, tmp_path: Path, change: str) -> None:
    run_id = _begin(program, tmp_path)
    program.kill()
    key = program.home / "secret.key"
    key.write_text("0" * 64 if change == "another" else "")
    program.start()
    run = program.api.ended(run_id)
    assert [node(run, step)["statusLabel"] for step in ("first", "second", "third")] == [
        "succeeded",
        "failed",
        "not_started",
    ]
    wanted = "encrypted with the key" if change == "another" else "contains no key"
    assert wanted in node(run, "second")["error"]
    assert wanted in program.api.client.get(f"/dag-runs/flow/{run_id}/log").text
    wait_for("the end of its step", lambda: not processes.with_argument(str(tmp_path / "go")))
    assert VALUE not in _told(program, run_id)
    assert VALUE.encode() not in store.everything(program.database_url, program.home)
