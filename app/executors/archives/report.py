"""What an archive step tells: one JSON document on stdout, and on stderr what it does meanwhile."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from app.executors.archives.failure import ArchiveError

MOST_ERRORS = 1_000
_MILLISECOND, _SECOND, _MINUTE, _HOUR = 1e-3, 1.0, 60, 3600


class Report:
    """Collects what goes wrong and measures how long it all takes."""

    def __init__(self, *, verbose: bool) -> None:
        self.errors: list[str] = []
        self._verbose = verbose
        self._begun = time.monotonic()

    def tell(self, text: str) -> None:
        """Say on stderr what was done, if that is wanted."""
        if self._verbose:
            say(text)

    def note(self, error: ArchiveError) -> None:
        """Remember an error that does not end the step."""
        say(f"{error} - going on, as continueOnError says")
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(str(error))

    def duration(self) -> str:
        """Give the time since the beginning, as ``1.5ms``, ``2.25s`` or ``1m2s``."""
        return render_duration(time.monotonic() - self._begun)

    def errors_member(self) -> dict[str, Any]:
        """Give the member of the document that is there only when there were errors."""
        return {"errors": self.errors} if self.errors else {}


def say(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def dump(value: object, indent: str = "") -> str:
    """Write a value as JSON with two blanks of indent, below a line that is indented already."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text.replace("\n", f"\n{indent}")


def render_duration(seconds: float) -> str:
    """Write a length of time with its unit."""
    if seconds < _SECOND:
        return f"{_plain(seconds / _MILLISECOND)}ms"
    minutes, rest = divmod(seconds, _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    parts = [f"{hours:.0f}h"] if hours else []
    parts += [f"{minutes:.0f}m"] if hours or minutes else []
    return "".join((*parts, f"{_plain(rest)}s"))


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
