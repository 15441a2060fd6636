"""The fault experiments on triggers by their names, each in two sizes: for every full run of the tests, and whole."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tests.chaos.experiment import Experiment
from tests.chaos.kill import Size
from tests.chaos.multi_server import ProcessCounts
from tests.chaos.named import BOTH, SEVERAL, NamedExperiment, Show
from tests.chaos.outage import OutagePlan
from tests.chaos.sandbox import Sandbox
from tests.chaos.triggers.clock import ClockPlan, TriggerClockExperiment
from tests.chaos.triggers.files import FilesExperiment, FilesPlan
from tests.chaos.triggers.forged import ForgedExperiment, ForgedPlan
from tests.chaos.triggers.growing import GrowingExperiment, GrowingPlan
from tests.chaos.triggers.kills import TriggerKillExperiment, TriggerOutageExperiment
from tests.chaos.triggers.replays import ReplayExperiment
from tests.chaos.triggers.sweep import TriggerSweepExperiment
from tests.chaos.triggers.upgrade import TriggerUpgradeExperiment
from tests.chaos.upgrade import UpgradePlan

_EVENTS_PER_SECOND = 10.0


def _sweep(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    every = 1 if is_whole else 4
    return TriggerSweepExperiment(sandbox, every=every, first=1 + seed % every, show=show)


def _kills(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    size = Size(10, 1_000, seed) if is_whole else Size(4, 60, seed, longest_life=1.0)
    return TriggerKillExperiment(sandbox, size, ProcessCounts(servers=3, workers=0), show)


def _outage(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    small = OutagePlan(stops=2, runs=40, seed=seed, shortest=1, longest=2)
    return TriggerOutageExperiment(sandbox, OutagePlan(10, 1_000, seed) if is_whole else small, show)


def _files(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    whole = FilesPlan(servers=1, files=10_000, kills=10, seconds=900, seed=seed)
    # The first look is after 10 s. On PostgreSQL the lease of a server that is killed after it lasts for 75 s more.
    small = FilesPlan(servers=1, files=30, kills=1, seconds=4 if sandbox.url else 24, seed=seed)
    return FilesExperiment(sandbox, whole if is_whole else small, show)


def _growing(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    return GrowingExperiment(sandbox, GrowingPlan(1_000 if is_whole else 30, seed), show)


def _shared(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    plan = FilesPlan(servers=2, files=500 if is_whole else 30, kills=0, seconds=30 if is_whole else 3, seed=seed)
    return FilesExperiment(sandbox, plan, show)


def _clock(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    return TriggerClockExperiment(sandbox, ClockPlan(4, 50, seed) if is_whole else ClockPlan(2, 8, seed), show)


def _forged(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    small = ForgedPlan(3, 200, _EVENTS_PER_SECOND, seed, most_seconds=30)
    return ForgedExperiment(sandbox, ForgedPlan(60, 1_000, _EVENTS_PER_SECOND, seed) if is_whole else small, show)


def _replays(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    return ReplayExperiment(sandbox, 1_000 if is_whole else 20, seed, show)


def _upgrade(sandbox: Sandbox, seed: int, is_whole: bool, show: Show) -> Experiment:
    servers = 2 if sandbox.url else 1
    plan = UpgradePlan(1, servers, 20 if is_whole else 3, seed, starts_per_second=_EVENTS_PER_SECOND)
    return TriggerUpgradeExperiment(sandbox, plan, show)


EXPERIMENTS: Mapping[str, NamedExperiment] = MappingProxyType(
    {
        "FB1": NamedExperiment("a fault at every commit", BOTH, _sweep),
        "FB2": NamedExperiment("kills", SEVERAL, _kills),
        "FB3": NamedExperiment("PostgreSQL stopped hard", SEVERAL, _outage),
        "FB4": NamedExperiment("files, and kills", BOTH, _files),
        "FB5": NamedExperiment("files that are written slowly", BOTH, _growing),
        "FB6": NamedExperiment("wrong clocks", SEVERAL, _clock),
        "FB7": NamedExperiment("a flood of forged requests", BOTH, _forged),
        "FB8": NamedExperiment("a directory of two servers", SEVERAL, _shared),
        "FB9": NamedExperiment("dry replays", BOTH, _replays),
        "FB10": NamedExperiment("upgrades", BOTH, _upgrade),
    }
)
