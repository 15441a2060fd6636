"""``dagbook torture`` in a size that every change can afford."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.torture.changes import Changes
from app.torture.crowd import Crowd, CrowdKilling
from app.torture.detection import Detection
from app.torture.killing import Killing, Size
from app.torture.namespaces import may_have_namespaces
from app.torture.sleeping import Sleeping
from app.torture.trial import Ground
from tests.process import processes, store
from tests.process.postgres import Cluster
from tests.process.program import ROOT
from tests.process.waiting import wait_for

_MOST_SECONDS = 20  # promise R6


@pytest.mark.timeout(120)
def test_servers_killed_at_random_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, make_url: Callable[[Path], str]
) -> None:
    ground = Ground(tmp_path, make_url(tmp_path / "home"))
    torture = Killing(ground, Size(kills=4, runs=10, seed=20_260_801, longest_life=0.8))
    assert torture.run() == []
    assert torture.hit > 0, "no kill met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
def test_servers_and_workers_ended_one_at_a_time_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, cluster: Cluster
) -> None:
    size = Size(kills=5, runs=8, seed=20_261_124, longest_life=1.5)
    torture = CrowdKilling(Ground(tmp_path, store.make_database(cluster.url)), size, Crowd(servers=3, workers=2))
    assert torture.run() == []
    assert torture.hit > 0, "no kill met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
def test_the_runs_of_a_killed_server_have_another_owner_within_seconds(tmp_path: Path, cluster: Cluster) -> None:
    detection = Detection(Ground(tmp_path, store.make_database(cluster.url)), servers=3, rounds=2, seed=7)
    assert detection.run() == []
    assert max(detection.seconds) < _MOST_SECONDS


@pytest.mark.timeout(400)
def test_no_step_fails_for_a_server_that_sleeps_longer_than_its_lease(tmp_path: Path, cluster: Cluster) -> None:
    sleeping = Sleeping(Ground(tmp_path, store.make_database(cluster.url)), rounds=1, seconds=12, seed=3)
    assert sleeping.run() == []


@pytest.mark.skipif(not may_have_namespaces(), reason="no PID namespace may be made here (unshare)")
@pytest.mark.timeout(400)
def test_no_execution_begins_twice_whatever_becomes_of_spools_homes_and_containers(
    tmp_path: Path, cluster: Cluster
) -> None:
    changes = Changes(Ground(tmp_path, store.make_database(cluster.url)), rounds=4, seed=15)
    assert changes.run() == []
    assert sum(changes.hit.values()) > 0, "no change met a running step: the test has shown nothing"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket: a killed server's would be elsewhere, and be left there."""
    with tempfile.TemporaryDirectory(prefix="dagbook-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_torture_that_is_interrupted_leaves_nothing_behind(short_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "app", "torture", "--kills", "1000", "--runs", "1000", "--seed", "1"]
    torture = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"TMPDIR": str(short_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_for("a step", lambda: [*short_path.glob("dagbook-torture-*/witness")])
        torture.send_signal(number)
        _, told = torture.communicate(timeout=60)
    finally:
        torture.kill()
        torture.wait()
    assert (torture.returncode, told.decode().splitlines()[-1]) == (1, "Error: interrupted")
    assert [*short_path.iterdir()] == []
    assert processes.with_argument(str(short_path)) == []
