"""Accounts of this machine under which commands run and files are opened, in place of the server's (``run_as``).

The server stays what it is, and so does the shim of a step, which writes to the spool. Only what a definition names
is used under the other account, which cannot read the home of the server.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import pwd
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from dagbook.unix.descriptors import memory_file

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # the names that shells take
_SETGROUPS = {"x86_64": 116, "aarch64": 159}  # the number of the system call, by machine
_CAPABILITIES = {5: "CAP_KILL", 6: "CAP_SETGID", 7: "CAP_SETUID"}
_SAME = ctypes.c_uint32(-1).value  # as an id: only ask for the current one
_DROPPED = ("--inh-caps=-all", "--ambient-caps=-all")
# What the definition chooses counts under the account alone: the directory, and the variables, some of which (such as
# LD_PRELOAD) the shim and setpriv would obey, which still are the server's. In arguments all accounts could read them.
_ENTER = 'cd -- "$1" || exit 126; . "$2"; shift 2; exec "$@"'
_NEUTRAL_ENV = {"PATH": os.defpath}
_NOT_ASSIGNABLE = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})  # in some shells


class AccountError(Exception):
    """Nothing can run under an account here; ``reason`` is the message without the setting."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"run_as: {reason}")


def account_name(uid: int) -> str:
    """Return the name of an account, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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


class Launch(NamedTuple):
    """What a process is started with; it inherits the descriptors."""

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    descriptors: tuple[int, ...] = ()


@contextmanager
def launch(argv: Sequence[str], cwd: str, env: Mapping[str, str], name: str) -> Iterator[Launch]:
    """Yield how to start a command in a directory under an account, "" for that of the server. Raises AccountError."""
    if not name:
        yield Launch(argv, cwd, env)
        return
    account = require(name)
    ids = f"--reuid={account.uid}", f"--regid={account.gid}", f"--groups={','.join(map(str, account.groups))}"
    program = shutil.which("setpriv") or "setpriv"
    exported = {each for each in env if _VARIABLE.fullmatch(each) and each not in _NOT_ASSIGNABLE}
    others = [
        f"{each}={value}" for each, value in env.items() if each in _NOT_ASSIGNABLE
    ]  # in arguments, for all to read
    lines = [f"export {each}={shlex.quote(env[each])}\n" for each in exported]
    descriptor = memory_file("".join(lines).encode("utf-8", "surrogateescape"))
    try:
        enter = [
            "/bin/sh",
            "-c",
            _ENTER,
            "sh",
            cwd,
            f"/dev/fd/{descriptor}",
            *(["env", "--", *others] if others else []),
        ]
        yield Launch([program, *ids, *_DROPPED, "--", *enter, *argv], "/", _NEUTRAL_ENV, (descriptor,))
    finally:
        os.close(descriptor)


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


def read_regular_file(
    path: Path, most_bytes: int, account: str = "", check: Callable[[int], None] = lambda _descriptor: None
) -> bytes | None:
    """Read at most ``most_bytes`` of a file as an account; None for a device, a directory or a pipe.

    ``check`` gets the descriptor before anything is read, and may raise. Raises AccountError and OSError.
    """
    with files_as(account):
        # Without O_NONBLOCK the open of a named pipe would wait for a writer.
        return _read_and_close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), most_bytes, check)


def read_own_file(path: Path, most_bytes: int, account: str = "") -> bytes | None:
    """Read at most ``most_bytes`` of a regular file as an account, without following a link that the path ends in.

    The folder of the file of an account has to be one of its own, and no link; the server's own account can reach no
    more than what it may read anyway. None if it is anything but that. Raises FileNotFoundError if there is nothing.
    """
    # Without O_NONBLOCK the open of a named pipe would wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        with files_as(account), _own_folder(path.parent, account) as folder:
            return _read_and_close(os.open(path if folder is None else path.name, flags, dir_fd=folder), most_bytes)
    except FileNotFoundError:
        raise
    except (AccountError, OSError):  # a link, a socket, a folder that is closed to the account
        return None


def remove_tree(path: str | Path, account: str = "") -> None:
    """Remove a directory as an account, as far as it may; 50,000 files take two seconds."""
    with suppress(AccountError), files_as(account):
        shutil.rmtree(path, ignore_errors=True)


def _read_and_close(
    descriptor: int, most_bytes: int, check: Callable[[int], None] = lambda _descriptor: None
) -> bytes | None:
    """Read at most ``most_bytes``; None for what is no regular file. Never a file object first: it refuses folders."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        check(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most_bytes)
    finally:
        os.close(descriptor)


@contextmanager
def _own_folder(path: Path, account: str) -> Iterator[int | None]:
    """Open a folder that an account owns, without following a link; None without an account."""
    if not account:
        yield None
        return
    folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(folder).st_uid != find(account).uid:
            raise PermissionError(errno.EPERM, "the folder has another owner", str(path))
        yield folder
    finally:
        os.close(folder)


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
