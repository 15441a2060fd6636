"""What all experiments share: their interface, progress output, and the file by which they see which steps started."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

_PROGRESS_SECONDS = 5.0
_UPTIME = Path("/proc/uptime")
READ_UPTIME = "read -r uptime idle </proc/uptime"  # shell code that sets $uptime


class ExperimentError(Exception):
    """An experiment that cannot go on."""


class Figures(NamedTuple):
    """What an experiment has counted, and all values that it has measured, by names with their units."""

    counts: Mapping[str, int]
    samples: Mapping[str, Sequence[float]] = MappingProxyType({})

    def lines(self) -> Mapping[str, str]:
        """Return both as texts by name, the values as their median, p95 and maximum."""
        spreads = {f"{name}, median, p95, most": spread(values) for name, values in self.samples.items()}
        return {name: str(count) for name, count in self.counts.items()} | spreads


class Experiment(Protocol):
    def run(self) -> list[str]:
        """Run it; returns a sentence for each violation. Raises ExperimentError, ServerError and NotInTimeError."""

    def figures(self) -> Figures:
        """Return what was counted and measured."""


class Progress:
    """Prints progress at most every five seconds."""

    def __init__(self, show: Callable[[str], None] = lambda _: None) -> None:
        self._show = show
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        if time.monotonic() - self._last >= _PROGRESS_SECONDS:
            self.now(text)

    def now(self, text: str) -> None:
        self._show(text)
        self._last = time.monotonic()


def spread(seconds: Sequence[float]) -> str:
    """Format median, p95 and maximum."""
    if not seconds:
        return "none"
    found = sorted(seconds)
    return " ".join(f"{found[min(int(len(found) * share), len(found) - 1)]:.2f}" for share in (0.5, 0.95, 1.0))


class Witness:
    """The file to which steps append a line when they start, unknown to all servers.

    The last word of a line is the uptime, a clock that a shell can read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[list[str]]:
        """Return the words of each line but the uptime, in the order in which they were written."""
        return [words for words, _ in self.timed_lines()]

    def timed_lines(self) -> list[tuple[list[str], float]]:
        """Return the words of each line and when it was written, in seconds since 1970."""
        if not self.path.exists():
            return []
        boot = time.time() - float(_UPTIME.read_text().split()[0])
        words = [line.split() for line in self.path.read_text().splitlines()]
        return [(line[:-1], boot + float(line[-1])) for line in words]
