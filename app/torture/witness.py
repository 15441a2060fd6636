"""The file that steps append to, of which no server knows; in it stands the uptime, which a shell can read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

_UPTIME = Path("/proc/uptime")
NOTE = "read -r uptime idle </proc/uptime"  # the shell's words that leave it in $uptime


class Witness:
    """The lines of such a file, whose last word is the uptime."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[list[str]]:
        """Give the words of each line but the uptime, in the order in which they were written."""
        return [words for words, _ in self.timed()]

    def timed(self) -> list[tuple[list[str], float]]:
        """Give the words of each line, and when it was written in seconds since 1970."""
        boot = time.time() - float(_UPTIME.read_text().split()[0])
        return [(words[:-1], boot + float(words[-1])) for words in self._words()]

    def _words(self) -> Iterator[list[str]]:
        if self.path.exists():
            yield from (line.split() for line in self.path.read_text().splitlines())
