"""Files of known hosts, in OpenSSH's format: hashed names, authorities and revoked keys count as they do there.

With ``accept-new`` the key that a host offers at its first connection is appended to the file.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

import asyncssh

from dagbook.executors.contract import SetupError, StepError, step_files
from dagbook.spec.problem import quoted

_log = logging.getLogger(__name__)
USUAL = "~/.ssh/known_hosts"
_HOST = re.compile(r"[\w.:%-]{1,253}")  # what a line may have as a name: names of hosts may come from callers
_ALGORITHMS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")  # those of ssh-rsa itself use SHA-1
_NOTE = "# dagbook: "
_LOCK_SECONDS = 5.0  # that the lock of a file is waited for


class Note(NamedTuple):
    """The fingerprint that the key of a host has to have at its first connection, as a comment of the file.

    The table ``ssh_host_keys`` of before has no keys, only these. Notes go with that table, one release after 0.2.0.
    """

    name: str
    algorithm: str
    fingerprint: str

    def __str__(self) -> str:
        return _NOTE + " ".join(self)


def plain_name(host: str) -> str:
    """Return the one spelling that the file has of a host's name: with or without a point at its end it is the same."""
    return host.lower().rstrip(".")


def name_of(host: str, port: int) -> str:
    """Return the name of a host and port in a file."""
    name = plain_name(host)
    return name if port == asyncssh.DEFAULT_PORT else f"[{name}]:{port}"


def read(path: Path) -> asyncssh.SSHKnownHosts:
    """Read a file. Raises SetupError."""
    with _translated_errors(path, "read"):
        return asyncssh.read_known_hosts(str(path))


async def accept_new(path: Path, host: str, port: int, account: str) -> None:
    """Append the key that a host offers, unless the file has a key or an authority for it.

    Raises SetupError and StepError.
    """
    if not _HOST.fullmatch(host):
        raise SetupError(f"ssh: host: {quoted(host)} is not the name or address of a machine")
    name = name_of(host, port)
    is_known, note = _look_up(path, name, account)
    if is_known:
        return
    key = await _get_offered(host, port, note)
    if note and (key is None or key.get_fingerprint() != note.fingerprint):
        raise StepError(
            f"the host key of {name} is not that of the line '{note}' in {path}: the machine was replaced, or the "
            "connection is intercepted; delete the line if you know why"
        )
    if key is None:
        raise StepError(f"{name} shows no host key")
    await asyncio.to_thread(_append_key, path, name, key, account)


def _look_up(path: Path, name: str, account: str) -> tuple[bool, Note | None]:
    """Return whether a file has a host, and the note of it. Raises SetupError."""
    with step_files(account), _translated_errors(path, "read"):
        if not path.exists():
            return False, None
        notes = (note for note in _read_notes(path) if note.name == name)
        return _has_host(asyncssh.read_known_hosts(str(path)), name), next(notes, None)


async def _get_offered(host: str, port: int, note: Note | None) -> asyncssh.SSHKey | None:
    wanted = (note.algorithm,) if note else _ALGORITHMS
    signatures = [name for key in wanted for name in (_RSA_SIGNATURES if key == "ssh-rsa" else (key,))]
    try:
        return await asyncssh.get_server_host_key(host, port, server_host_key_algs=signatures, config=None)
    except asyncssh.KeyExchangeFailed:
        if note is None:
            raise
        return None


def _has_host(known: asyncssh.SSHKnownHosts, name: str) -> bool:
    return any(known.match(name, "", None)[:2])


def _append_key(path: Path, name: str, key: asyncssh.SSHKey, account: str) -> None:
    with step_files(account), _translated_errors(path, "written"), _open_locked(path) as file:
        known = asyncssh.import_known_hosts(file.read())
        if _has_host(known, name):  # another step was faster
            return
        if key in known.match(name, "", None)[2]:
            raise StepError(f"the host key of {name} is revoked in {path}")
        _append(file, [f"{name} {key.export_public_key().decode().strip()}"])
    _log.warning("added the host key of %s to %s at its first connection: %s", name, path, key.get_fingerprint())


def add_notes(path: Path, notes: Iterable[Note]) -> int:
    """Append notes to a file without any, and return their number. Raises OSError."""
    with _open_locked(path) as file:
        lines = [] if _NOTE in file.read() else [str(note) for note in notes]
        _append(file, lines)
    return len(lines)


def _read_notes(path: Path) -> Iterator[Note]:
    for line in path.read_text(errors="replace").splitlines():
        words = line.removeprefix(_NOTE).split()
        if line.startswith(_NOTE) and len(words) == len(Note._fields):
            yield Note(*words)


@contextmanager
def _open_locked(path: Path) -> Iterator[TextIO]:
    """Open a file, which is made if it is missing, for one process at a time; raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "r+", errors="replace") as file:  # noqa: PTH123 - a descriptor
        until = time.monotonic() + _LOCK_SECONDS
        while not _lock(descriptor):
            if time.monotonic() > until:
                raise OSError(errno.EAGAIN, "another program has locked it")
            time.sleep(_LOCK_SECONDS / 100)
        yield file


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _append(file: TextIO, lines: Iterable[str]) -> None:
    """Append whole lines or none: a part of one would make the file invalid."""
    file.seek(0)
    text, descriptor = file.read(), file.fileno()
    end = os.fstat(descriptor).st_size
    rest = "".join(("\n" if text and not text.endswith("\n") else "", *(f"{line}\n" for line in lines))).encode()
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.ftruncate(descriptor, end)
        raise


@contextmanager
def _translated_errors(path: Path, use: str) -> Iterator[None]:
    """Turn the error of a file that could not be read or written into a SetupError."""
    try:
        yield
    except OSError as error:
        raise SetupError(
            f"ssh: the file of known host keys {path} could not be {use}: {error.strerror}; "
            "write the host's key there (ssh-keyscan shows it), or set strictHostKey: false"
        ) from error
    except ValueError as error:
        raise SetupError(f"ssh: the file of known host keys {path} is not valid: {error}") from error
