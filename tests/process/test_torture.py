"""``dagbook torture`` in a size that every change can afford."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.torture.crowd import Crowd, CrowdKilling
from app.torture.detection import Detection
from app.torture.killing import Killing, Size
from app.torture.sleeping import Sleeping
from app.torture.trial import Ground
from tests.process import store
from tests.process.postgres import Cluster

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
