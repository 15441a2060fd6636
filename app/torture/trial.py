"""What all kinds of torture have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

_TELL_SECONDS = 5.0


class TortureError(Exception):
    """A torture that cannot go on, as when a server does not come back."""


class Ground(msgspec.Struct, frozen=True):
    """Where a torture takes place: a folder and a database of its own, both empty in the beginning."""

    directory: Path
    url: str


class Trial(Protocol):
    """One kind of torture."""

    def run(self) -> list[str]:
        """Do it; returns a sentence for everything that is wrong in the end. Raises TortureError."""

    def figures(self) -> Mapping[str, str]:
        """Give what was counted and measured, by its name."""


class Progress:
    """Tells how far a torture has come, not more often than every few seconds."""

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        self._tell = tell
        self._told = time.monotonic()

    def __call__(self, text: str) -> None:
        """Tell it if it is time to."""
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self.now(text)

    def now(self, text: str) -> None:
        """Tell it whenever it is."""
        self._tell(text)
        self._told = time.monotonic()


def spread(seconds: Sequence[float]) -> str:
    """Write median, p95 and maximum of measured seconds."""
    if not seconds:
        return "none"
    found = sorted(seconds)
    return " ".join(f"{found[min(int(len(found) * share), len(found) - 1)]:.2f}" for share in (0.5, 0.95, 1.0))
