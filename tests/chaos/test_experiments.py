"""The chaos experiments in a size that every change can afford; the failover is in tests/process/test_schedules.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.backups import BackupExperiment, BackupPlan
from tests.chaos.batches import BatchExperiment, BatchPlan
from tests.chaos.detection import DetectionExperiment
from tests.chaos.history import HistoryExperiment, HistoryPlan
from tests.chaos.host_changes import HostChangeExperiment
from tests.chaos.kill import KillExperiment, Size
from tests.chaos.multi_server import MultiServerKillExperiment, ProcessCounts
from tests.chaos.outage import OutageExperiment, OutagePlan
from tests.chaos.pause import PauseExperiment
from tests.chaos.power_loss import PowerLossExperiment
from tests.chaos.sandbox import Sandbox
from tests.chaos.sweep import SweepExperiment
from tests.chaos.upgrade import UpgradeExperiment, UpgradePlan
from tests.process import processes, store
from tests.process.namespaces import may_have_namespaces
from tests.process.postgres import Cluster
from tests.process.program import ROOT
from tests.process.waiting import wait_for

_MOST_SECONDS = 20  # promise R6


@pytest.mark.always
@pytest.mark.timeout(120)
def test_servers_killed_at_random_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, make_url: Callable[[Path], str]
) -> None:
    sandbox = Sandbox(tmp_path, make_url(tmp_path / "home"))
    experiment = KillExperiment(sandbox, Size(kills=4, runs=10, seed=20_260_801, longest_life=0.8))
    assert experiment.run() == []
    assert experiment.hit > 0, "no kill met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
def test_servers_and_workers_ended_one_at_a_time_lose_nothing_and_begin_nothing_twice(
    tmp_path: Path, cluster: Cluster
) -> None:
    size = Size(kills=5, runs=8, seed=20_261_124, longest_life=1.5)
    experiment = MultiServerKillExperiment(
        Sandbox(tmp_path, store.make_database(cluster.url)), size, ProcessCounts(servers=3, workers=2)
    )
    assert experiment.run() == []
    assert experiment.hit > 0, "no kill met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
def test_the_runs_of_a_killed_server_have_another_owner_within_seconds(tmp_path: Path, cluster: Cluster) -> None:
    experiment = DetectionExperiment(Sandbox(tmp_path, store.make_database(cluster.url)), servers=3, rounds=2, seed=7)
    assert experiment.run() == []
    assert max(experiment.seconds) < _MOST_SECONDS


@pytest.mark.timeout(400)
def test_no_step_fails_when_a_server_is_paused_for_longer_than_its_lease(tmp_path: Path, cluster: Cluster) -> None:
    experiment = PauseExperiment(Sandbox(tmp_path, store.make_database(cluster.url)), rounds=1, seconds=12, seed=3)
    assert experiment.run() == []


@pytest.mark.skipif(not may_have_namespaces(), reason="no PID namespace may be made here (unshare)")
@pytest.mark.timeout(400)
def test_no_execution_begins_twice_whatever_becomes_of_spools_homes_and_containers(
    tmp_path: Path, cluster: Cluster
) -> None:
    experiment = HostChangeExperiment(Sandbox(tmp_path, store.make_database(cluster.url)), rounds=4, seed=15)
    assert experiment.run() == []
    assert sum(experiment.hit.values()) > 0, "no change met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("servers", [1, 2], ids=["sqlite", "postgresql"])
def test_servers_exchanged_for_the_next_version_lose_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, servers: int
) -> None:
    url = store.make_database(request.getfixturevalue("cluster").url) if servers > 1 else ""
    plan = UpgradePlan(rounds=1, servers=servers, seconds=4, seed=16)
    experiment = UpgradeExperiment(Sandbox(tmp_path, url), plan)
    assert experiment.run() == []
    assert (experiment.answered > 0, len(experiment.exchanges)) == (True, servers)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_backup_under_load_loses_nothing_and_starts_nothing_where_it_is_restored(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str
) -> None:
    url = store.make_database(request.getfixturevalue("cluster").url) if engine == "postgresql" else ""
    experiment = BackupExperiment(Sandbox(tmp_path, url), BackupPlan(rounds=1, seed=20, awaits_minute=False))
    assert experiment.run() == []
    assert experiment.in_backups["running"] > 0, "no run was under way in the backup: the test has shown nothing"
    assert experiment.in_backups["queued"] > 0, "no run was queued in the backup: the test has shown nothing"


@pytest.mark.timeout(400)
def test_a_database_that_is_stopped_hard_loses_nothing_and_the_server_goes_on(tmp_path: Path) -> None:
    cluster = Cluster()
    try:
        plan = OutagePlan(stops=2, runs=6, seed=3, shortest=1, longest=2)
        experiment = OutageExperiment(Sandbox(tmp_path, store.make_database(cluster.url), cluster), plan)
        assert experiment.run() == []
    finally:
        cluster.remove()
    assert experiment.hit > 0, "no stop met a running step: the test has shown nothing"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_a_power_loss_leaves_of_a_database_has_all_that_was_answered(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str
) -> None:
    cluster = request.getfixturevalue("cluster") if engine == "postgresql" else None
    sandbox = Sandbox(tmp_path, store.make_database(cluster.url) if cluster else "", cluster)
    experiment = PowerLossExperiment(sandbox, copies=2 if cluster else 8, seed=5)
    assert experiment.run() == []
    assert experiment.figures().counts["runs found succeeded in a copy"] > 0, "the copies were of an idle server"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_fault_at_a_commit_neither_loses_nor_repeats_a_step(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str
) -> None:
    url = store.make_database(request.getfixturevalue("cluster").url) if engine == "postgresql" else ""
    experiment = SweepExperiment(Sandbox(tmp_path, url), every=20, first=5)
    assert experiment.run() == []
    assert min(experiment.points.values()) > 0, "no commit met the fault: the test has shown nothing"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("servers", [1, 2], ids=["sqlite", "postgresql"])
def test_some_order_explains_all_answers_to_concurrent_clients(
    tmp_path: Path, request: pytest.FixtureRequest, servers: int
) -> None:
    url = store.make_database(request.getfixturevalue("cluster").url) if servers > 1 else ""
    experiment = HistoryExperiment(Sandbox(tmp_path, url), HistoryPlan(400, seed=13, servers=servers, dags=6))
    assert experiment.run() == []
    assert experiment.figures().counts["requests that overlapped another one about the same run"] > 40


@pytest.mark.timeout(400)
@pytest.mark.parametrize("servers", [1, 3], ids=["sqlite", "postgresql"])
def test_servers_killed_while_they_work_off_a_batch_do_each_time_once(
    tmp_path: Path, request: pytest.FixtureRequest, servers: int
) -> None:
    url = store.make_database(request.getfixturevalue("cluster").url) if servers > 1 else ""
    experiment = BatchExperiment(Sandbox(tmp_path, url), BatchPlan(servers, 30, failed=8, kills=3, seed=1))
    assert experiment.run() == []
    assert experiment.figures().counts["servers killed"] > 0


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for that of a socket: a killed server's would be elsewhere, and be left there."""
    with tempfile.TemporaryDirectory(prefix="dagbook-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_experiment_leaves_nothing_behind(short_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.chaos.cli", "kill", "--kills", "1000", "--runs", "1000", "--seed", "1"]
    experiment = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"TMPDIR": str(short_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_for("a step", lambda: [*short_path.glob("dagbook-chaos-*/witness")])
        experiment.send_signal(number)
        _, errors = experiment.communicate(timeout=60)
    finally:
        experiment.kill()
        experiment.wait()
    assert (experiment.returncode, errors.decode().splitlines()[-1]) == (1, "Aborted!")
    assert [*short_path.iterdir()] == []
    assert processes.with_argument(str(short_path)) == []
