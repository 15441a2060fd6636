"""Processes of this machine, found by what they were started with."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from dagbook.unix.proc import identify, session_members

_PROC = Path("/proc")


def _numbers() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def read(pid: int, name: str) -> bytes:
    """Read a file of ``/proc``; returns nothing for a process that has ended or belongs to another user."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def with_variable(name: str, value: str) -> list[int]:
    """Return the processes that were started with a variable in their environment."""
    wanted = f"{name}={value}".encode()
    return [pid for pid in _numbers() if wanted in read(pid, "environ").split(b"\0")]


def with_argument(text: str) -> list[int]:
    """Return the processes that have a text in their command line."""
    return [pid for pid in _numbers() if text.encode() in read(pid, "cmdline")]


def leads_session(pid: int) -> bool:
    """Whether a process leads its session, as the shim of a step does."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def kill(pid: int) -> None:
    """End a process; harmless when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_sessions(text: str) -> None:
    """Kill the processes with a text in their command line, and all of their sessions."""
    for leader in with_argument(text):
        members = session_members(leader)
        # The shim first: it would write down the exit code of a command that was killed before it.
        for pid in (leader, *members):
            kill(pid)


def is_shim(pid: int) -> bool:
    """Whether a process is the one that stands between a server and a step's command."""
    return b"/shim.sh" in read(pid, "cmdline")


def is_alive(pid: int) -> bool:
    """Whether a process with this number lives; one that only waits to be collected does not."""
    return identify(pid) is not None


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return _kilobytes(read(pid, "status"), "VmRSS:")


def peak_bytes(pid: int) -> int:
    """Return the most resident memory that a process ever had."""
    return _kilobytes(read(pid, "status"), "VmHWM:")


def proportional_bytes(pids: list[int]) -> int:
    """Return the memory of processes, what they share with others counted in part."""
    return sum(_kilobytes(read(pid, "smaps_rollup"), "Pss:") for pid in pids)


def _kilobytes(text: bytes, label: str) -> int:
    lines = (line for line in text.decode().splitlines() if line.startswith(label))
    return sum(int(line.split()[1]) * 1024 for line in lines)
