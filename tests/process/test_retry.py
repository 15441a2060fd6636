"""Retries survive their server, and of several at once one counts, whichever servers they are sent to."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.process import conftest, invariants
from tests.process.postgres import Cluster
from tests.process.program import Program, node
from tests.process.waiting import wait_for

# The second step fails at first; later it waits for a file of the test's. Each notes that it ran.
SPEC = """
maxActiveRuns: -1
steps:
  - name: first
    command: echo first >>{0}/ran; echo kept
    output: FIRST
  - name: second
    command: |
      echo second >>{0}/ran
      test -e {0}/again || exit 1
      while [ ! -e {0}/go ]; do sleep 0.05; done
      echo "$FIRST and new"
  - name: third
    command: echo third >>{0}/ran
"""


def _fail(program: Program, folder: Path, run_id: str = "r1") -> None:
    program.api.start(SPEC.format(folder), run_id=run_id)
    assert program.api.ended(run_id)["statusLabel"] == "failed"
    (folder / "again").touch()


def _retry(program: Program, run_id: str = "r1") -> httpx.Response:
    return program.api.client.post(f"/dag-runs/flow/{run_id}/retry", json={"dagRunId": run_id})


def _ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "when its step runs"])
def test_a_retry_whose_server_is_killed_is_gone_on_with_by_the_next(
    program: Program, tmp_path: Path, begun: bool
) -> None:
    _fail(program, tmp_path)
    assert _retry(program).status_code == 200
    if begun:
        wait_for("the step", lambda: _ran(tmp_path) == ["first", "second", "second"])
    program.kill()
    (tmp_path / "go").touch()
    program.start()
    run = program.api.ended("r1")
    assert run["statusLabel"] == "succeeded"
    assert _ran(tmp_path) == ["first", "second", "second", "third"]
    assert program.api.log("r1", "first") == "kept"
    assert program.api.log("r1", "second") == "kept and new"
    assert node(run, "first")["doneCount"] == 1
    wait_for("an empty spool", lambda: program.spooled() == [])


@pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)
def test_a_retry_of_one_step_stays_one_when_its_server_is_killed(program: Program, tmp_path: Path) -> None:
    _fail(program, tmp_path)
    body = {"dagRunId": "r1", "stepName": "second"}
    assert program.api.client.post("/dag-runs/flow/r1/retry", json=body).status_code == 200
    program.kill()
    (tmp_path / "go").touch()
    program.start()
    run = program.api.ended("r1")
    assert (run["statusLabel"], node(run, "third")["statusLabel"]) == ("failed", "aborted")
    assert _ran(tmp_path) == ["first", "second", "second"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[tuple[Program, Program]]:
    url, folder = cluster.make_database(), tmp_path_factory.mktemp("pair")
    first, second = (Program(folder / "home", url, log=folder / f"{name}.log") for name in ("first", "second"))
    servers = (first, second)
    try:
        yield servers[0].start(), servers[1].start()
    finally:
        for server in servers:
            conftest.end(server)
    assert invariants.find_violations(url) == []


def test_of_retries_sent_to_two_servers_at_once_one_counts(pair: tuple[Program, Program], tmp_path: Path) -> None:
    _fail(pair[0], tmp_path)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(_retry, pair * 4))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    (tmp_path / "go").touch()
    assert pair[1].api.ended("r1")["statusLabel"] == "succeeded"
    assert _ran(tmp_path) == ["first", "second", "second", "third"]


def test_a_run_that_one_server_has_ended_is_retried_by_the_other(pair: tuple[Program, Program], tmp_path: Path) -> None:
    """They share a spool: the first must not clear away what the second has just begun."""
    _fail(pair[0], tmp_path, "r2")
    (tmp_path / "go").touch()
    assert _retry(pair[1], "r2").status_code == 200
    assert pair[0].api.ended("r2")["statusLabel"] == "succeeded"
    assert pair[0].api.log("r2", "second") == "kept and new"
