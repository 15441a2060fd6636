"""Spool: paths of the files of runs, whose names start with the key of the run (house design 7).

Creating and removing a directory costs as much as three files, and a short run has only four. The attempt number comes
next: the clean-up after one attempt must not touch the files of the next, which may have started.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.process import process
from dagbook.unix.unix_accounts import remove_tree

_KEY = re.compile(r"(\d+)_")
_ATTEMPT = re.compile(r"\d+_(\d+)_")
_FOLDER = re.compile(r"dagbook-[0-9a-f]{32}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_NAME_LENGTH = 40
_RUN_NOTE = "_container.note"
_RETAINED_SECONDS = 24 * 60 * 60


class RunSpool(msgspec.Struct, frozen=True):
    """Spool paths of one attempt of a run."""

    spool: Path
    key: int
    attempt: int = 1

    @property
    def work(self) -> Path:
        """The working directory of an inline run without one of its own."""
        return Path(f"{self.spool}/{self.key}_{self.attempt}_work")

    def private_directory(self, account: str) -> Path:
        """Return the working directory of an inline run."""
        return name_folder() if account else self.work

    @property
    def log(self) -> Path:
        """The log of the run, for steps that read it."""
        return Path(f"{self.spool}/{self.key}_{self.attempt}_run.log")

    @property
    def run_note(self) -> Path:
        """The recovery note of the container that the steps share."""
        return Path(f"{self.spool}/{self.key}_{self.attempt}{_RUN_NOTE}")

    def node_base(self, position: int, name: str) -> str:
        """Return the common prefix of the paths of a node."""
        return f"{self.spool}/{self.key}_{self.attempt}_{position}-{_UNSAFE.sub('_', name)[:_NAME_LENGTH]}"

    def find(self, pattern: str = "*") -> Iterator[Path]:
        """Find the files of this attempt and earlier ones, by a scan of the spool."""
        for path in self.spool.glob(f"{self.key}_{pattern}"):
            attempt = _ATTEMPT.match(path.name)
            if attempt is None or int(attempt[1]) <= self.attempt:
                yield path

    def pending_notes(self) -> list[Path]:
        """List the recovery notes of executions outside of this server that have not ended."""
        notes = []
        for note in self.find("*.note"):
            files = ExecutionFiles(str(note).removesuffix(".note"), note, note)
            if process.read_exit(files) is None:
                notes.append(note)
        return notes

    def remove_all(self) -> None:
        """Remove the files of this attempt and earlier ones, except for claims and run notes of the last 24 hours.

        The container of such a note could not be removed yet. A suspended server that was considered dead may resume
        just before it starts an execution that was claimed since: without the claim its shim would start it, and the
        step would run a second time.
        """
        for path in self.find():
            is_retained = process.is_claim(path) or path.name.endswith(_RUN_NOTE)
            if is_retained and time.time() - path.lstat().st_mtime < _RETAINED_SECONDS:
                continue
            remove_linked_folder(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def name_folder() -> Path:
    """Name a folder of another account than the server's, which cannot enter the spool; no one may guess it."""
    return Path(tempfile.gettempdir(), f"dagbook-{secrets.token_hex(16)}")


def remove_linked_folder(link: Path) -> None:
    """Remove, as its owner, the folder of another account that has the file that a link in the spool leads to.

    A step of the server's account can make links in the spool as well: nothing else that they lead to is removed.
    """
    with suppress(OSError, KeyError):
        folder = link.readlink().parent
        if _FOLDER.fullmatch(folder.name) and folder.lstat().st_uid != os.geteuid():
            remove_tree(folder, folder.owner())


def spooled_runs(spool: Path) -> list[int]:
    """List the keys of the runs with files in the spool."""
    found = (_KEY.match(entry.name) for entry in spool.iterdir())
    return sorted({int(match[1]) for match in found if match})
