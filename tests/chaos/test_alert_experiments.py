"""The fault experiments on alerts in a size that a full run can afford."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.alerts.experiments import EXPERIMENTS
from tests.chaos.named import POSTGRESQL
from tests.chaos.sandbox import Sandbox
from tests.process import store
from tests.process.postgres import Cluster

# What shows that an experiment has met what it is about.
PROOFS = {
    "FA1": "servers that died",
    "FA2": "requests to receivers",
    "FA3": "alerts told",
    "FA4": "requests to receivers",
    "FA5": "requests to receivers",
    "FA6": "stops of PostgreSQL",
    "FA7": "alerts",
    "FA8": "servers exchanged",
    "FA9": "servers killed",
}


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "engine"), [(name, engine) for name, one in EXPERIMENTS.items() for engine in one.engines]
)
def test_alerts_arrive_once_whatever_fails_meanwhile(tmp_path: Path, name: str, engine: str) -> None:
    cluster = Cluster() if engine == POSTGRESQL else None  # of its own, which one of them stops
    try:
        sandbox = Sandbox(tmp_path, store.make_database(cluster.url) if cluster else "", cluster)
        experiment = EXPERIMENTS[name].make(sandbox, 4, False, print)
        assert experiment.run() == []
        assert experiment.figures().counts[PROOFS[name]] > 0, "the test has shown nothing"
    finally:
        if cluster:
            cluster.remove()
