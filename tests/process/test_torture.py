"""The torture of scripts/torture in a size that every change can afford."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import conftest, store
from tests.process.crowd import Crowd, CrowdTorture
from tests.process.detection import Detection
from tests.process.postgres import Cluster
from tests.process.torture import Size, Torture

_MOST_SECONDS = 20  # promise R6


@pytest.mark.timeout(120)
def test_servers_killed_at_random_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, make_url: Callable[[Path], str]
) -> None:
    torture = Torture(tmp_path, make_url(tmp_path / "home"), Size(kills=4, runs=10, seed=20_260_801, longest_life=0.8))
    try:
        assert torture.run() == []
    finally:
        conftest.end(torture.program)
    assert torture.hit > 0, "no kill met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
def test_servers_and_workers_ended_one_at_a_time_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, cluster: Cluster
) -> None:
    size = Size(kills=5, runs=8, seed=20_261_124, longest_life=1.5)
    torture = CrowdTorture(tmp_path, store.make_database(cluster.url), size, Crowd(servers=3, workers=2))
    assert torture.run() == []
    assert torture.hit > 0, "no kill met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
def test_the_runs_of_a_killed_server_have_another_owner_within_seconds(tmp_path: Path, cluster: Cluster) -> None:
    detection = Detection(tmp_path, store.make_database(cluster.url), servers=3, rounds=2, seed=7)
    assert detection.run() == []
    assert max(detection.seconds) < _MOST_SECONDS
