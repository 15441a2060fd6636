"""The fault experiments on alerts by their names, each in two sizes: for every full run of the tests, and whole."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tests.chaos.alerts.burst import BurstExperiment, BurstPlan
from tests.chaos.alerts.clock import ClockExperiment, ClockPlan
from tests.chaos.alerts.dead_receiver import DeadPlan, DeadReceiverExperiment
from tests.chaos.alerts.hostile import HostileExperiment, HostilePlan
from tests.chaos.alerts.kills import AlertKillExperiment, AlertOutageExperiment
from tests.chaos.alerts.receiver import Reply
from tests.chaos.alerts.silence import SilenceExperiment, SilencePlan
from tests.chaos.alerts.sweep import AlertSweepExperiment
from tests.chaos.alerts.upgrade import AlertUpgradeExperiment
from tests.chaos.experiment import Experiment
from tests.chaos.kill import Size
from tests.chaos.multi_server import ProcessCounts
from tests.chaos.named import BOTH, SEVERAL, NamedExperiment, Show
from tests.chaos.outage import OutagePlan
from tests.chaos.sandbox import Sandbox
from tests.chaos.upgrade import UpgradePlan

_SPEED = 20  # by which pauses are divided in the small size


def _sweep(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    every = 1 if is_whole else 9
    return AlertSweepExperiment(sandbox, every=every, first=1 + seed % every, show=show)


def _kills(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    size = Size(20, 200, seed) if is_whole else Size(4, 12, seed, longest_life=1.0)
    return AlertKillExperiment(sandbox, size, ProcessCounts(servers=3, workers=2), show)


def _dead(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    small = DeadPlan(seconds=6, runs=15, dags=5, seed=seed, speed=_SPEED, most_delay=30)
    plan = DeadPlan(seconds=600, runs=500, dags=50, seed=seed) if is_whole else small
    return DeadReceiverExperiment(sandbox, plan, show)


def _hostile(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    del seed
    small = HostilePlan(seconds=2, most_seconds=30, replies=(Reply.HUGE, Reply.REDIRECT))
    return HostileExperiment(sandbox, HostilePlan(seconds=30) if is_whole else small, show)


def _clock(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    return ClockExperiment(sandbox, ClockPlan(4 if is_whole else 2, 12 if is_whole else 6, seed), show)


def _outage(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    small = OutagePlan(stops=2, runs=8, seed=seed, shortest=1, longest=2)
    return AlertOutageExperiment(sandbox, OutagePlan(stops=10, runs=200, seed=seed) if is_whole else small, show)


def _burst(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    del seed
    plan = BurstPlan(1_000, 200, seconds=10) if is_whole else BurstPlan(24, 8, seconds=1, interval=4)
    return BurstExperiment(sandbox, plan, show)


def _upgrade(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    return AlertUpgradeExperiment(sandbox, UpgradePlan(1, 2, 60 if is_whole else 3, seed), show)


def _silence(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    del seed
    return SilenceExperiment(sandbox, SilencePlan(4) if is_whole else SilencePlan(1, _SPEED), show)


EXPERIMENTS: Mapping[str, NamedExperiment] = MappingProxyType(
    {
        "FA1": NamedExperiment("a fault at every commit", BOTH, _sweep),
        "FA2": NamedExperiment("kills", SEVERAL, _kills),
        "FA3": NamedExperiment("a receiver that is down", BOTH, _dead),
        "FA4": NamedExperiment("hostile receivers", BOTH, _hostile),
        "FA5": NamedExperiment("wrong clocks", SEVERAL, _clock),
        "FA6": NamedExperiment("PostgreSQL stopped hard", SEVERAL, _outage),
        "FA7": NamedExperiment("a burst of failures", BOTH, _burst),
        "FA8": NamedExperiment("upgrades from the version before", SEVERAL, _upgrade),
        "FA9": NamedExperiment("silence", SEVERAL, _silence),
    }
)
