"""Files of backups: written beside their name and renamed when they are whole, for this user alone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

_PART, _PART_END = ".dagbook-", ".part"
# No process writes to a part for so long: not even a check of a copy, or a wait of pg_dump for a lock, takes longer.
_LEFT_SECONDS = 12 * 3600
_SQLITE_MAGIC, _ARCHIVE_MAGIC = b"SQLite format 3\0", b"PGDMP"


class BackupError(Exception):
    """A backup or a restore cannot be done; the message says why and what to do."""


class Kind(Enum):
    """What a file of a backup is."""

    SQLITE = "a SQLite database"
    ARCHIVE = "an archive of pg_dump"


def kind_of(file: Path) -> Kind:
    """Tell the kind of a file by its first bytes; raises BackupError and OSError."""
    with file.open("rb") as opened:
        first = opened.read(len(_SQLITE_MAGIC))
    if first == _SQLITE_MAGIC:
        return Kind.SQLITE
    if first.startswith(_ARCHIVE_MAGIC):
        return Kind.ARCHIVE
    raise BackupError(f"{file} is neither {Kind.SQLITE.value} nor {Kind.ARCHIVE.value}")


@contextmanager
def new_file(target: Path, *, replaces: bool) -> Iterator[Path]:
    """Yield an empty file of mode 0600 beside the target, which takes its place when the block ends without an error.

    It is on the disk before that. What killed processes have left there is removed. Raises BackupError if there is such
    a file already, unless it is to be replaced.
    """
    check_target(target, replaces=replaces)
    for left in target.parent.glob(f"{_PART}*{_PART_END}*"):
        with suppress(OSError):  # of another user, or removed by another process
            if left.stat().st_mtime < time.time() - _LEFT_SECONDS:
                left.unlink()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=_PART, suffix=_PART_END)
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        sync(part)
        check_target(target, replaces=replaces)
        part.replace(target)
        sync(target.parent)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def check_source(source: Path) -> None:
    """Raise BackupError if there is no file to read; a link to one is one."""
    if not source.exists():
        leads = f"{source} is a link to {source.readlink()}, where no file is" if source.is_symlink() else ""
        raise BackupError(leads or f"there is no file {source}")
    if not source.is_file():
        what = "a folder" if source.is_dir() else "a device or a pipe"
        raise BackupError(f"{source} is {what}; give the name of the file of a backup")


def check_target(target: Path, *, replaces: bool) -> None:
    """Raise BackupError if a file cannot be written there. A link is not replaced: it would no longer lead anywhere."""
    if target.is_symlink():
        raise BackupError(f"{target} is a link to {target.readlink()}; give the name of the file itself")
    if target.is_dir():
        raise BackupError(f"{target} is a folder; give the name of a file in it")
    if target.exists() and not target.is_file():
        raise BackupError(f"{target} is a device or a pipe; give the name of a file")
    if os.path.lexists(target) and not replaces:
        raise BackupError(f"{target} exists already; give another name, or --force to replace it")
    if not target.parent.is_dir():
        raise BackupError(f"there is no folder {target.parent}; make it first")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
