"""Lock file of a SQLite database: it names the one process that uses the file, and its Unix socket for requests.

The kernel releases the lock when the process dies. The socket is bound only by the lock's owner, so a socket file found
at that time is left over from a dead owner. It refuses connections until its owner listens.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from dagbook.unix.files import make_private

_MAX_ADDRESS_BYTES = 65_536
_MAX_SOCKET_PATH = 107  # bytes in sun_path, without the NUL
_OWN_FILE, _OWN_FOLDER = 0o600, 0o700
_FOLDER_PREFIX = "dagbook-"
UNIX = "unix:"  # before the path in the address of a server that listens on a Unix socket


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The process that owns a database file: a server's address or a command's name, and its socket.

    ``socket`` is empty for versions that had none.
    """

    address: str
    pid: int
    socket: str = ""

    @property
    def is_server(self) -> bool:
        """Whether it is a server and not a command."""
        return self.address.startswith(("http://", "https://", UNIX))

    def __str__(self) -> str:
        """Describe the owner for a message."""
        kind = "the Dagbook server at " if self.is_server else ""
        return f"{kind}{self.address} (process {self.pid})"


class DatabaseOwned(Exception):  # noqa: N818  # a state of the world, not a mistake
    """Another process uses this database file."""

    def __init__(self, path: Path, owner: Owner) -> None:
        fix = "stop that server first" if owner.is_server else "wait until it has finished"
        super().__init__(f"{path} is in use by {owner}; {fix}, or use another database")
        self.owner = owner


class ServerLock:
    """The acquired lock; ``listener`` is a bound socket that does not listen yet."""

    def __init__(self, descriptor: int, listener: socket.socket, address: Path) -> None:
        self._descriptor: int | None = descriptor
        self._address: Path | None = address
        self.listener = listener

    def close_listener(self) -> None:
        """Delete the socket's file, so that no more connections are made; harmless when repeated."""
        if self._address is not None:
            self._address.unlink(missing_ok=True)
            with suppress(OSError):
                if self._address.parent.name.startswith(_FOLDER_PREFIX):
                    self._address.parent.rmdir()
            self._address = None

    def release(self) -> None:
        """Release the lock; harmless when repeated."""
        if self._descriptor is None:
            return
        self.close_listener()
        self.listener.close()
        os.ftruncate(self._descriptor, 0)
        # A child process before its exec has a copy of the descriptor, which would keep the lock without LOCK_UN.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = None


def acquire(path: str | Path, address: str) -> ServerLock:
    """Lock the database file; raises ``DatabaseOwned`` when another process has the lock."""
    file = Path(path).resolve()
    descriptor = os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, _OWN_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(descriptor, _OWN_FILE)
        for suffix in ("", "-wal", "-shm"):
            make_private(file.with_name(file.name + suffix))
        listener, bound = _bind(file, descriptor)
        owner = Owner(address=address, pid=os.getpid(), socket=str(bound))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(owner), 0)
    except BlockingIOError:
        try:
            holder = msgspec.json.decode(os.pread(descriptor, _MAX_ADDRESS_BYTES, 0), type=Owner)
        except msgspec.DecodeError:
            holder = Owner(address="a process that has not written its name yet", pid=0)
        os.close(descriptor)
        raise DatabaseOwned(file, holder) from None
    except BaseException:
        os.close(descriptor)
        raise
    return ServerLock(descriptor, listener, bound)


# -- the socket ----------------------------------------------------------------------------------------------------


def _bind(file: Path, lock: int) -> tuple[socket.socket, Path]:
    """Bind a socket beside the file or, if that path is too long or not possible, in a private folder."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), _OWN_FILE)  # on Linux the socket's file is created with this mode
    beside = file.with_name(f"{file.name}.sock")
    if _bind_at(listener, beside):
        return listener, beside
    private = _private_folder(file, lock) / "socket"
    if _bind_at(listener, private):
        return listener, private
    listener.close()
    raise OSError(errno.ENAMETOOLONG, "no Unix socket can be bound here, nor beside the database", str(private))


def _bind_at(listener: socket.socket, path: Path) -> bool:
    if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
        return False
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    try:
        listener.bind(str(path))
    except OSError:
        return False
    return True


def _private_folder(file: Path, lock: int) -> Path:
    """Create a folder with a name derived from the lock file, so that killed owners leave at most one."""
    status = os.fstat(lock)
    digest = hashlib.sha256(f"{file}:{status.st_dev}:{status.st_ino}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"{_FOLDER_PREFIX}{os.geteuid()}-{digest}")
    with suppress(FileExistsError):
        folder.mkdir(_OWN_FOLDER)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == _OWN_FOLDER:
        return folder
    return Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))  # another user has created a folder of that name
