"""What an executor is given and what it gives back; the rest of the program knows no more than this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

EXIT_TIMEOUT = 124
EXIT_NOT_FOUND = 127


class SetupError(Exception):
    """An execution could not be set up; recorded with exit code 0, counted as 1 by retry rules (runtime 12)."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended. ``exit_code`` is None when it left no exit status behind."""

    exit_code: int | None
    error: str = ""


class ExecutionFiles(msgspec.Struct, frozen=True):
    """The files of one execution, and the output that all executions of its node share: side by side."""

    base: str  # path and beginning of the name of the execution's own files
    stdout: Path
    stderr: Path

    @property
    def directory(self) -> Path:
        """Where all of them lie."""
        return self.stdout.parent

    @property
    def started(self) -> str:
        """Created exclusively by whoever owns the execution; it holds who that is, and later the exit code."""
        return self.base + ".started"

    def own(self, ending: str) -> Path:
        """Name another file of the execution."""
        return Path(f"{self.base}.{ending}")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluated step, ready to be run."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]


class Execution(Protocol):
    """One execution under way."""

    async def wait(self) -> Outcome:
        """Return when every process that still writes to the step's output is gone."""

    def signal(self, name: str) -> None:
        """Send a signal, by its POSIX name, to the processes of the execution."""

    def kill(self) -> None:
        """End every process of the execution for good."""

    def detach(self) -> None:
        """Let go: the execution continues without this server."""
