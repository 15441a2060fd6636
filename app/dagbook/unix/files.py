"""Folders and files for this user alone."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone; one that exists keeps its mode."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        with suppress(FileExistsError):  # another process was first
            each.mkdir(PRIVATE_FOLDER)


def make_private(path: Path) -> None:
    """Take the permissions of other users away; a path that is missing, or of another user, stays as it is."""
    with suppress(FileNotFoundError, PermissionError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)


def open_privately(path: str, flags: int) -> int:
    """Open or create a file, as the ``opener`` of ``open``; the umask has nothing to take away."""
    return os.open(path, flags, PRIVATE_FILE)
