"""Where the files of runs lie in the spool: side by side, each name beginning with its run's key.

Making and removing a directory costs as much as three files, and a short run has only four. The number of the
attempt comes next: who clears up after one must not touch the files of the next, which may have begun.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.process import process

_KEY = re.compile(r"(\d+)_")
_ATTEMPT = re.compile(r"\d+_(\d+)_")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_NAME_LENGTH = 40
_RUN_NOTE = "_container.note"
_RETAINED_SECONDS = 24 * 60 * 60


class RunSpool(msgspec.Struct, frozen=True):
    """The files of one attempt of a run."""

    spool: Path
    key: int
    attempt: int = 1

    @property
    def work(self) -> Path:
        """The folder of a run that neither its definition nor its file gives one."""
        return Path(f"{self.spool}/{self.key}_{self.attempt}_work")

    @property
    def log(self) -> Path:
        """The run's own log, for steps that read it."""
        return Path(f"{self.spool}/{self.key}_{self.attempt}_run.log")

    @property
    def run_note(self) -> Path:
        """What the steps share elsewhere and has to end with the run."""
        return Path(f"{self.spool}/{self.key}_{self.attempt}{_RUN_NOTE}")

    def node_base(self, position: int, name: str) -> str:
        """Begin the names of a node's files."""
        return f"{self.spool}/{self.key}_{self.attempt}_{position}-{_UNSAFE.sub('_', name)[:_NAME_LENGTH]}"

    def find(self, pattern: str = "*") -> Iterator[Path]:
        """List the files of this attempt and those before it; the whole spool is looked through."""
        return (path for path in self.spool.glob(f"{self.key}_{pattern}") if _attempt_of(path) <= self.attempt)

    def pending_notes(self) -> list[Path]:
        """List the notes about what goes on elsewhere, but for those of executions that have ended."""
        return [note for note in self.find("*.note") if not _has_ended(note)]

    def remove_all(self) -> None:
        """Remove whatever this attempt and those before it have left, but for claims and run notes of the last day.

        What such a note tells of could not be ended yet. A server that was thought dead may wake up at the point
        of beginning an execution that was claimed since: without the claim its shim would begin it, and the step
        would run a second time.
        """
        for path in self.find():
            if _is_retained(path) and time.time() - path.lstat().st_mtime < _RETAINED_SECONDS:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _has_ended(note: Path) -> bool:
    files = ExecutionFiles(str(note).removesuffix(".note"), note, note)
    return process.read_exit(files) is not None


def _is_retained(path: Path) -> bool:
    return process.is_claim(path) or path.name.endswith(_RUN_NOTE)


def _attempt_of(path: Path) -> int:
    found = _ATTEMPT.match(path.name)
    return int(found[1]) if found else 0


def spooled_runs(spool: Path) -> list[int]:
    """List the runs that have files in the spool."""
    found = (_KEY.match(entry.name) for entry in spool.iterdir())
    return sorted({int(match[1]) for match in found if match})
