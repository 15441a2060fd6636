"""Folders and files for this user alone, and the files of the settings that others may use."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dagbook.settings.read import Settings

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Not the group's right to read: the usual file of a service belongs to root and to the group of the service.
_OPEN = stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
_LINE = re.compile(r"(.+):[0-9]+")


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


def find_open_files(settings: Settings) -> Iterator[str]:
    """Warn of settings files and key files that other users of the machine may read or change."""
    origins = sorted({match[1] for origin in settings.origins.values() if (match := _LINE.fullmatch(origin))})
    keys = [settings.home / "secret.key", settings.tls_key_file]
    for path in [*map(Path, origins), *filter(None, keys)]:
        with suppress(OSError):
            if path.stat().st_mode & _OPEN:
                yield f"{path} can be read or changed by other users of this machine; `chmod 600 {path}` ends that"
