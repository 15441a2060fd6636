"""Identity of a spool, which tells it apart from other spools and from its copies (house design 7)."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)
_FILE = ".identity"
_COPY = "copy-of-"
_CONTENT = re.compile(r"([0-9a-f]{32}) (\d+)\n")
_MAX_CHARACTERS = 100  # read from the file


def open_spool(directory: Path) -> str:
    """Return the id of the spool in a directory, created if missing; raises OSError.

    The file contains its own inode number, which differs in a copy. Files that were copied with it are set aside,
    because the processes named in them belong to the original.
    """
    if copied := _read(directory, copies=True):
        _set_aside(directory, copied)
    if (found := read_id(directory) or _create(directory)) is None:
        (directory / _FILE).unlink()  # it contains no id
        found = _create(directory)
    if found is None:
        raise OSError(errno.EIO, "the identity of the spool cannot be stored", str(directory / _FILE))
    return found


def read_id(directory: Path) -> str | None:
    """Return the id of the spool in a directory; None for no spool, a copy of one, or one without an id."""
    return _read(directory, copies=False)


def is_identity(path: Path) -> bool:
    """Whether an entry of a spool belongs to its identity and not to a run."""
    return path.name.startswith((_FILE, _COPY))


def _read(directory: Path, *, copies: bool) -> str | None:
    try:
        with (directory / _FILE).open(encoding="ascii", errors="replace") as file:
            found = _CONTENT.match(file.read(_MAX_CHARACTERS))
            is_copy = found is not None and found[2] != str(os.fstat(file.fileno()).st_ino)
    except OSError:
        return None
    return found[1] if found and is_copy == copies else None


def _create(directory: Path) -> str | None:
    """Write the file under another name, then link it: of two servers that open a new spool the first one wins."""
    fresh = directory / f"{_FILE}-{secrets.token_hex(8)}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{secrets.token_hex(16)} {os.fstat(descriptor).st_ino}\n".encode())
        os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(fresh, directory / _FILE)
    finally:
        os.close(descriptor)
        fresh.unlink()
    return read_id(directory)


def _set_aside(directory: Path, copied: str) -> None:
    if all(is_identity(entry) for entry in directory.iterdir()):
        (directory / _FILE).unlink()
        return
    aside = directory / f"{_COPY}{copied[:8]}-{secrets.token_hex(4)}"
    aside.mkdir(mode=0o700)
    for entry in [entry for entry in directory.iterdir() if not entry.name.startswith(_COPY)]:
        with suppress(FileNotFoundError):
            entry.rename(aside / entry.name)
    _log.warning("the spool %s is a copy: its files were moved to %s and are ignored", directory, aside)
