"""Fault experiments that are chosen by a name, each in two sizes: for every full run of the tests, and whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.chaos.experiment import Experiment
from tests.chaos.sandbox import Sandbox

SMOKE, FULL = "smoke", "full"
SQLITE, POSTGRESQL = "sqlite", "postgresql"
BOTH, SEVERAL = (SQLITE, POSTGRESQL), (POSTGRESQL,)
Show = Callable[[str], None]


class NamedExperiment(NamedTuple):
    """What happens in it, on which engines, and how a part of it is made in a size."""

    title: str
    engines: tuple[str, ...]
    make: Callable[[Sandbox, int, bool, Show], Experiment]  # with the seed, and whether it is whole
