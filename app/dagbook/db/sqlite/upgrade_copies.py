"""Copies of a SQLite file that upgrades leave beside it: made, found and removed.

The name says all about a copy: that of the database, its revision, and when it was made.
"""

from __future__ import annotations

import glob
import os
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

_NAME = re.compile(r"\.(?P<revision>\w+)\.(?P<at>\d{8}T\d{6}\.\d{6}Z)\.backup")
_AT = "%Y%m%dT%H%M%S.%fZ"
_PART = ".part"


class UpgradeCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of the database as it was before an upgrade; its size in bytes."""

    file: Path
    revision: str
    made_at: datetime
    size: int


def make_copy(path: Path, revision: str) -> None:
    """Copy a database in use beside it; the copy has its name when it is whole.

    The caller has locked the database, so what another copy has left that is not whole is of a killed process.
    """
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.backup{_PART}"):
        left.unlink()
    target = path.with_name(f"{path.name}.{revision}.{datetime.now(UTC).strftime(_AT)}.backup")
    part = target.with_name(target.name + _PART)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would create it world-readable
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def find_copies(path: Path) -> list[UpgradeCopy]:
    """Return the copies beside a database, the oldest first; other files there are none."""
    found = []
    for file in path.parent.glob(f"{glob.escape(path.name)}.*.backup"):
        match = _NAME.fullmatch(file.name.removeprefix(path.name))
        if match is not None and file.is_file():
            made_at = datetime.strptime(match["at"], _AT).replace(tzinfo=UTC)
            size = file.stat().st_size
            found.append(UpgradeCopy(file=file, revision=match["revision"], made_at=made_at, size=size))
    return sorted(found, key=lambda copy: copy.made_at)


def remove_copies(path: Path, days: int, now: datetime) -> list[UpgradeCopy]:
    """Remove the copies that are older than some days, and return them; raises OSError."""
    expired = [copy for copy in find_copies(path) if copy.made_at < now - timedelta(days=days)]
    for copy in expired:
        copy.file.unlink(missing_ok=True)
    return expired
