"""Accounts of this machine under which commands run and files are opened, in place of the server's (``run_as``).

The server stays what it is, and so does the shim of a step, which writes to the spool. Only what a definition names
is used under the other account, which cannot read the home of the server.
"""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dagbook.executors.contract import SetupError

_SETGROUPS = {"x86_64": 116, "aarch64": 159}  # the number of the system call, by machine
_CAPABILITIES = {5: "CAP_KILL", 6: "CAP_SETGID", 7: "CAP_SETUID"}
_SAME = ctypes.c_uint32(-1).value  # as an id: only ask for the current one
_DROPPED = ("--inh-caps=-all", "--ambient-caps=-all")
# The directory is entered under the account: the server may enter some that the account may not, or the reverse.
_ENTER = 'cd -- "$1" || exit 126; shift; exec "$@"'


class AccountError(SetupError):
    """Nothing can run under an account here; ``reason`` is the message without the setting."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"run_as: {reason}")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the machine knows it now."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def variables(self) -> dict[str, str]:
        """The variables that name the account to a program."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}


def find(name: str) -> Account:
    """Look an account up. Raises AccountError for one that is unknown, privileged or the server's own."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise AccountError(f"there is no account {name!r} on this machine") from None
    if entry.pw_uid == 0:
        raise AccountError(f"{name!r} is root; name an account without privileges")
    if entry.pw_uid == os.geteuid():
        raise AccountError(f"{name!r} is the account of the server, whose files it can read; name another one")
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, home=entry.pw_dir)


def require(name: str) -> Account:
    """Look up an account that this process may switch to. Raises AccountError."""
    account = find(name)
    lines = Path("/proc/self/status").read_text(errors="replace").splitlines()
    owned = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    if missing := [label for bit, label in _CAPABILITIES.items() if not owned >> bit & 1]:
        raise AccountError(f"this server may not switch to {name!r}: it has no {', '.join(missing)}")
    if platform.machine() not in _SETGROUPS:
        raise AccountError(f"Dagbook cannot open files as {name!r} on a machine of type {platform.machine()}")
    if shutil.which("setpriv") is None:
        raise AccountError(f"the program setpriv, which switches to {name!r}, is missing; install util-linux")
    return account


def require_closed(name: str, home: Path) -> Account:
    """Look up an account that this process may switch to, and that cannot enter the server's home."""
    account = require(name)
    if may_enter(home, name):
        raise AccountError(f"{name!r} can enter the home of the server, {home}; close it with chmod 700")
    return account


def may_enter(directory: Path, name: str) -> bool:
    """Whether an account may use files below a directory; True if that is missing. Raises AccountError."""
    with files_as(name):
        try:
            os.stat(f"{directory}/.")  # noqa: PTH116 - a Path drops the dot, which asks for the right to enter
        except PermissionError:
            return False
        except OSError:
            return True
    return True


def switch(argv: Sequence[str], cwd: str, name: str) -> list[str]:
    """Return the command that runs another one under an account and in a directory. Raises AccountError."""
    account = require(name)
    ids = f"--reuid={account.uid}", f"--regid={account.gid}", f"--groups={','.join(map(str, account.groups))}"
    program = shutil.which("setpriv") or "setpriv"
    return [program, *ids, *_DROPPED, "--", "/bin/sh", "-c", _ENTER, "sh", cwd, *argv]


@contextmanager
def files_as(name: str) -> Iterator[None]:
    """Open, make and remove files as an account, "" for that of the server. Raises AccountError.

    The kernel then checks each path as for a process of the account. This holds for the thread alone and for those that
    it makes: never await, and start no process or thread, inside.
    """
    if not name:
        yield
        return
    account = require(name)
    try:
        _use_files_of(account.uid, account.gid, account.groups)
        yield
    finally:
        _use_files_of(os.geteuid(), os.getegid(), os.getgroups())


def _use_files_of(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Change what the kernel compares with the owner of a file; the C library's setgroups would do so in all threads.

    A thread that leaves uid 0 loses the right to read every file with it, and gets it back at its return.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(_SETGROUPS[platform.machine()], len(groups), (ctypes.c_uint32 * len(groups))(*groups)):
        raise OSError(ctypes.get_errno(), "setgroups")
    for change, wanted in ((library.setfsgid, gid), (library.setfsuid, uid)):
        change(wanted)
        if ctypes.c_uint32(change(_SAME)).value != wanted:
            raise OSError(f"the kernel refused the id {wanted} for files")
