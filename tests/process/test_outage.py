"""PostgreSQL goes away under a server, and comes back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import httpx
import pytest

from tests.process import conftest, invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program
from tests.process.waiting import wait_for

SPEC = """
maxActiveRuns: 100
steps:
  - name: first
    command: echo "$DAG_RUN_ID first" >>{directory}/witness; for i in 1 2 3 4; do echo line $i; sleep 0.2; done
  - name: second
    command: echo "$DAG_RUN_ID second" >>{directory}/witness; echo line 5
"""


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that no other file's tests need; each test leaves it running."""
    started = Cluster()
    yield started
    started.remove()


@pytest.fixture
def server(tmp_path: Path, own_cluster: Cluster) -> Iterator[Program]:
    program = Program(tmp_path / "home", own_cluster.make_database())
    try:
        yield program.start()
    finally:
        conftest.end(program)
    assert invariants.find_violations(program.database_url) == []


def test_runs_survive_an_outage_of_the_database(server: Program, own_cluster: Cluster, tmp_path: Path) -> None:
    spec = SPEC.format(directory=tmp_path)
    api = server.api
    run_ids = [api.start(spec) for _ in range(4)]
    witness = tmp_path / "witness"
    wait_for("the first steps", lambda: witness.exists() and len(witness.read_text().splitlines()) == len(run_ids))

    own_cluster.stop()
    refused = api.post_run(spec, run_id="refused")
    assert (refused.status_code, refused.json()["code"]) == (503, "internal_error")
    assert "PostgreSQL" in refused.json()["message"]
    assert api.client.get("/health").json()["status"] == "unhealthy"
    assert api.health() == httpx.codes.SERVICE_UNAVAILABLE
    assert api.client.get(f"/dag-runs/flow/{run_ids[0]}").status_code == httpx.codes.SERVICE_UNAVAILABLE
    # The process of a second step may wait for its commit already, if a first one has ended before the outage.
    wait_for("the end of the first steps", lambda: not server.shims("first"))

    own_cluster.start()
    wait_for("health", lambda: api.health() == httpx.codes.OK)
    for run_id in run_ids:
        assert api.ended(run_id)["statusLabel"] == "succeeded"
        assert api.log(run_id, "first") == "line 1\nline 2\nline 3\nline 4"
    assert sorted(witness.read_text().splitlines()) == sorted(f"{run} {step}" for run in run_ids for step in _STEPS)
    assert api.client.get("/dag-runs/flow/refused").status_code == httpx.codes.NOT_FOUND
    assert api.ended(api.start(spec))["statusLabel"] == "succeeded"


_STEPS = ("first", "second")


@pytest.mark.timeout(90)
def test_short_outages_one_after_the_other_lose_nothing(server: Program, own_cluster: Cluster, tmp_path: Path) -> None:
    """Each of them cuts off commits whose answer is then lost."""
    spec = SPEC.format(directory=tmp_path)
    answered = []
    for _ in range(3):
        answers = [server.api.post_run(spec) for _ in range(3)]
        answered += [answer.json()["dagRunId"] for answer in answers if answer.status_code == httpx.codes.OK]
        own_cluster.stop()
        own_cluster.start()
    for run_id in answered:
        assert server.api.ended(run_id, seconds=30)["statusLabel"] == "succeeded"
    begun = (tmp_path / "witness").read_text().splitlines()
    assert len(begun) == len(set(begun))
    wait_for("runs whose answer was lost", lambda: not _open_runs(server), seconds=30)


def _open_runs(server: Program) -> int:
    return len(store.query(server.database_url, "SELECT id FROM runs WHERE status IN (0, 1)"))


_AWAY_SECONDS = float(os.environ.get("DAGBOOK_TEST_OUTAGE_SECONDS", "8"))  # longer than a connection is tried out
_HEALTH_SECONDS, _BACK_SECONDS = 3, 20  # health has two seconds; the rest is for a busy machine
_READERS = 20  # more than the server has connections


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("goes", "comes"), [("stop", "start"), ("freeze", "thaw")])
def test_health_tells_of_an_outage_in_time_and_runs_start_soon_after_it(
    server: Program, own_cluster: Cluster, tmp_path: Path, goes: str, comes: str
) -> None:
    api, spec, witness = server.api, SPEC.format(directory=tmp_path), tmp_path / "witness"
    under_way = api.start(spec)
    with ThreadPoolExecutor(_READERS) as readers:
        getattr(own_cluster, goes)()
        try:
            reads = [readers.submit(api.client.get, "/dag-runs", timeout=120) for _ in range(_READERS)]
            until = monotonic() + _AWAY_SECONDS
            while monotonic() < until:
                asked = monotonic()
                assert api.health() == httpx.codes.SERVICE_UNAVAILABLE
                assert monotonic() - asked < _HEALTH_SECONDS
        finally:
            getattr(own_cluster, comes)()
        back = monotonic()
        wait_for("health", lambda: api.health() == httpx.codes.OK, seconds=_BACK_SECONDS)
        new = wait_for("a start", lambda: api.post_run(spec).json().get("dagRunId"), seconds=_BACK_SECONDS)
        wait_for("the first step of a new run", lambda: f"{new} first" in witness.read_text(), seconds=_BACK_SECONDS)
        assert monotonic() - back < _BACK_SECONDS
        assert {read.result().status_code for read in reads} <= {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}
    for run_id in (under_way, new):
        assert api.ended(run_id)["statusLabel"] == "succeeded"


CALLS = """
steps:
  - name: fan
    call: kid
    parallel: {{items: [one, two, three, four], maxConcurrent: 2}}
---
name: kid
steps:
  - echo $1 >>{witness}; while [ ! -e {go} ]; do sleep 0.02; done
"""


def test_calls_that_an_outage_meets_are_gone_on_with(server: Program, own_cluster: Cluster, tmp_path: Path) -> None:
    witness, go = tmp_path / "witness", tmp_path / "go"
    run_id = server.api.start(CALLS.format(witness=witness, go=go))
    wait_for("two sub-runs", lambda: witness.exists() and len(witness.read_text().splitlines()) == 2)
    own_cluster.stop()
    go.touch()
    wait_for("the end of the first steps", lambda: not server.shims())
    own_cluster.start()
    assert server.api.ended(run_id, seconds=30)["statusLabel"] == "succeeded"
    assert sorted(witness.read_text().split()) == ["four", "one", "three", "two"]
