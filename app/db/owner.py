"""One server per SQLite file: a lock file beside it that says who holds it.

The file also holds a token with which the server may be asked for everything, made anew at each start. Only the
user whose server it is can read it, and that user can read and change the database itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

import msgspec

# Somebody who asks who the owner is holds the lock for an instant; a claim must not mistake that for an owner.
_CLAIM_TRIES = 20
_CLAIM_PAUSE_SECONDS = 0.01
_LONGEST = 65_536


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The server that works on a database file, and its certificate as PEM, if it has one."""

    address: str
    pid: int
    token: str = ""
    certificate: str = ""


class DatabaseOwned(Exception):  # noqa: N818  # a state of the world, not a mistake
    """Another server works on this database file."""

    def __init__(self, path: Path, owner: Owner) -> None:
        super().__init__(
            f"{path} is in use by the Dagbook server at {owner.address} (process {owner.pid}); "
            "stop that server first, or use another database"
        )
        self.owner = owner


class OwnerLock:
    """Held for as long as the server works on the file; the kernel lets go of it when the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go; harmless when repeated."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def claim(path: str | Path, address: str, token: str = "", certificate: str = "") -> OwnerLock:
    """Become the owner of the database file, or raise ``DatabaseOwned``."""
    descriptor = os.open(_lock_path(path), os.O_RDWR | os.O_CREAT, 0o600)
    if not _lock(descriptor):
        owner = _read(descriptor)
        os.close(descriptor)
        raise DatabaseOwned(Path(path), owner)
    os.fchmod(descriptor, 0o600)
    os.ftruncate(descriptor, 0)
    owner = Owner(address=address, pid=os.getpid(), token=token, certificate=certificate)
    os.pwrite(descriptor, msgspec.json.encode(owner), 0)
    return OwnerLock(descriptor)


def read_owner(path: str | Path) -> Owner | None:
    """Return who owns the database file, or ``None`` when nobody does."""
    try:
        descriptor = os.open(_lock_path(path), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _lock_path(path: str | Path) -> Path:
    file = Path(path).resolve()
    return file.with_name(f"{file.name}.lock")


def _lock(descriptor: int) -> bool:
    for _ in range(_CLAIM_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_CLAIM_PAUSE_SECONDS)
    return False


def _read(descriptor: int) -> Owner:
    try:
        return msgspec.json.decode(os.pread(descriptor, _LONGEST, 0), type=Owner)
    except msgspec.DecodeError:
        return Owner(address="an address it has not told yet", pid=0)
