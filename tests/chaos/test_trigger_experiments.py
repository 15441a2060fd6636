"""The fault experiments on triggers in a size that a full run can afford."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.named import POSTGRESQL
from tests.chaos.sandbox import Sandbox
from tests.chaos.triggers.experiments import EXPERIMENTS
from tests.process import store
from tests.process.postgres import Cluster

# What shows that an experiment has met what it is about.
PROOFS = {
    "FB1": "servers that died",
    "FB2": "servers killed",
    "FB3": "stops of PostgreSQL",
    "FB4": "runs",
    "FB5": "contents that stayed",
    "FB6": "answers that name the clock",
    "FB7": "forged requests, answered 401",
    "FB8": "runs",
    "FB9": "dry replays",
    "FB10": "servers exchanged",
}


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "engine"), [(name, engine) for name, one in EXPERIMENTS.items() for engine in one.engines]
)
def test_an_event_that_was_answered_is_one_run_whatever_fails_meanwhile(tmp_path: Path, name: str, engine: str) -> None:
    cluster = Cluster() if engine == POSTGRESQL else None  # of its own, which one of them stops
    try:
        sandbox = Sandbox(tmp_path, store.make_database(cluster.url) if cluster else "", cluster)
        experiment = EXPERIMENTS[name].make(sandbox, 4, False, print)
        assert experiment.run() == []
        counts = experiment.figures().counts
        assert counts[PROOFS[name]] > 0, "the test has shown nothing"
    finally:
        if cluster:
            cluster.remove()
