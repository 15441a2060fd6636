"""Processes in /proc: identity, sessions, and the writers of a file."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_LONGEST_STAT = 4096
INITIAL_PID_NAMESPACE = "4026531836"  # PROC_PID_INIT_INO of the kernel: the machine's own, not a container's
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # nanoseconds
_STATE, _START_TIME = 0, 19  # fields of /proc/PID/stat after the command's closing parenthesis


class ProcessId(msgspec.Struct, frozen=True):
    """The identity of a process; a later process with the same pid has another one."""

    pid: int
    started: int  # boot_ticks ticks since boot


def parse_stat(line: str) -> ProcessId | None:
    """Read the identity from a line of ``/proc/PID/stat``; None when the line is incomplete."""
    pid, _, rest = line.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    # The field after it has to exist: a line that is cut off inside the number would identify another process.
    if not pid.isdigit() or len(fields) <= _START_TIME + 1:
        return None
    return ProcessId(int(pid), int(fields[_START_TIME]))


def boot_ticks() -> int:
    """Return the time since boot in boot_ticks ticks, the unit of ``ProcessId.started``."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _TICK


def write_stat(process: ProcessId) -> bytes:
    """Format a line for ``parse_stat``, with zeros in the other fields."""
    return b"%d (sh) S%s %d 0\n" % (process.pid, b" 0" * (_START_TIME - 1), process.started)


def read_stat(pid: int) -> bytes:
    """Read the line that identifies a process. Raises OSError when there is no process with this pid."""
    # A file object would need five more system calls, for every step.
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST_STAT)
    finally:
        os.close(descriptor)


def _stat_fields(pid: int) -> list[str]:
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return line.rpartition(") ")[2].split()


def identify(pid: int) -> ProcessId | None:
    """Return the identity of a process; None when there is none with this pid, or a zombie."""
    fields = _stat_fields(pid)
    if not fields or fields[_STATE] in "ZX":
        return None
    return ProcessId(pid, int(fields[_START_TIME]))


def is_alive(process: ProcessId) -> bool:
    """Whether the process, and not a later one with its pid, still runs."""
    return identify(process.pid) == process


def session_members(session: int) -> list[int]:
    """Return the pids of a session, without zombies."""
    pids = (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 - no path for each process
    # Only what is in the session is read: the stat of each process costs a hundred times as much.
    return [pid for pid in pids if _session_of(pid) == session and identify(pid) is not None]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None  # it has ended, or may not be asked


def has_writers(path: Path) -> bool | None:
    """Whether any process has the file open for writing; None where the file system has no leases.

    The kernel refuses a read lease while there is a writer. The lease is released at once, or the next writer would
    have to wait for it. A writer that opens the file in between makes the kernel send a signal: SIGURG, which is
    ignored by default, because the usual SIGIO would end this process.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    finally:
        os.close(descriptor)
    return False


def find_writers(file: os.stat_result) -> list[int]:
    """Return the pids that have the file open for writing, without this one; those of other users are not visible."""
    writers: list[int] = []
    for pid in [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]:
        if pid == os.getpid():
            continue
        try:
            descriptors = [entry.name for entry in (_PROC / str(pid) / "fd").iterdir()]
        except OSError:
            continue
        if any(_is_writer(pid, descriptor, file) for descriptor in descriptors):
            writers.append(pid)
    return writers


def _is_writer(pid: int, descriptor: str, file: os.stat_result) -> bool:
    try:
        if not os.path.samestat((_PROC / str(pid) / "fd" / descriptor).stat(), file):
            return False
        info = (_PROC / str(pid) / "fdinfo" / descriptor).read_text()
    except OSError:
        return False
    flags = next(line for line in info.splitlines() if line.startswith("flags:"))
    return bool(int(flags.split()[1], 8) & os.O_ACCMODE)


def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def pid_namespace() -> str:
    """Return the id of the PID namespace of this process."""
    return str((_PROC / "self/ns/pid").readlink()).strip("pid:[]")
