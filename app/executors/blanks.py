"""Files of the spool that are used again: a step's files come from those of steps that are over.

Making a file and removing it is dear where removed inodes rest before they are given out again (ext4 without
a journal looks through all of the last minutes to make the next one: 0.1 to 0.8 ms); a link costs 0.02 ms everywhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import stat
from contextlib import suppress
from pathlib import Path

_MOST = 1000
_BEGINNING = "blank_"
_MODE = stat.S_IFREG | 0o600
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})  # said by file systems that have none


class Blanks:
    """The empty files of one server in one spool; another server that removes them does no harm."""

    def __init__(self, spool: Path) -> None:
        self._beginning = f"{spool}/{_BEGINNING}{secrets.token_hex(4)}_"
        self._spool = spool
        self._made = 0
        self._free: list[str] = []

    def create(self, path: str | Path, content: bytes = b"") -> None:
        """Make a file that is there with its content at once; raises FileExistsError, or another OSError."""
        while self._free:
            with suppress(FileNotFoundError):
                _publish(self._free.pop(), path, content)
                return
        if not content:
            _make(path)
            return
        blank = self._new_name()
        _make(blank)
        _publish(blank, path, content)

    def open_to_append(self, path: str | Path) -> int:
        """Open a file to append to it, made if it is not there; raises OSError."""
        with suppress(FileExistsError):
            self.create(path)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def give(self, path: str | Path) -> None:
        """Take a file that is not needed any more; harmless when it is not there."""
        blank = self._new_name()
        try:
            os.rename(path, blank)
        except OSError:  # it is not there; or on a full disk, where only removing needs no room
            _remove(path)
            return
        # Nobody can open it by its old name now, so whoever would still see what is written to it can be found.
        if len(self._free) < _MOST and _emptied(blank):
            self._free.append(blank)
        else:
            _remove(blank)

    def clear(self) -> None:
        """Remove the files that lie ready, of this server and of any that left some behind."""
        self._free.clear()
        for path in self._spool.glob(f"{_BEGINNING}*"):
            path.unlink(missing_ok=True)

    def _new_name(self) -> str:
        self._made += 1
        return f"{self._beginning}{self._made}"


def is_blank(path: Path) -> bool:
    """Whether a file of the spool is none of a run."""
    return path.name.startswith(_BEGINNING)


def _make(path: str | Path, content: bytes = b"") -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write(descriptor, content)
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    if os.write(descriptor, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _remove(path: str | Path) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _publish(blank: str, path: str | Path, content: bytes) -> None:
    """Give a blank its content and then its name: a link, for a renaming would replace what is there."""
    try:
        if content:
            _fill(blank, content)
        os.link(blank, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _make(path, content)
    finally:
        _remove(blank)


def _fill(blank: str, content: bytes) -> None:
    descriptor = os.open(blank, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write(descriptor, content)
    finally:
        os.close(descriptor)


def _emptied(path: str) -> bool:
    """Empty a file; False when somebody else can see what will be written to it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A write lease is refused while anybody else holds the file open. See proc.has_writers about the signal.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        found = os.fstat(descriptor)
        if found.st_size:
            os.ftruncate(descriptor, 0)
        return (found.st_mode, found.st_nlink, found.st_uid) == (_MODE, 1, os.geteuid())
    except OSError:
        return False
    finally:
        os.close(descriptor)
