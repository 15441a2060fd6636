"""Processes of this machine, as tests look for them."""

from __future__ import annotations

from app.executors.proc import identify
from app.torture.processes import kill, kill_sessions, leads_session, read, with_argument, with_variable

__all__ = [
    "is_alive",
    "is_shim",
    "kill",
    "kill_sessions",
    "leads_session",
    "peak_bytes",
    "proportional_bytes",
    "read",
    "resident_bytes",
    "with_argument",
    "with_variable",
]


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
