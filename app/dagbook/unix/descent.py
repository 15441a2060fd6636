"""Whether a process was started by a step, from what /proc shows of it and of those that started it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PARENT, _SESSION = 1, 3  # fields of /proc/PID/stat after the command's closing parenthesis
_MOST_ANCESTORS = 256
# Steps get this variable, and so does what they start, unless they take it away.
_MARK = b"DAG_RUN_ID="
_SHIM_PATH = b"dagbook/executors/process/shim.sh"  # of any installation


def is_below_step(pid: int) -> bool:
    """Whether a process is in the session of a step or below one, or has ended, so that this cannot be known.

    A step's process escapes notice if it leaves its session, loses its parents (a double fork) *and* either has no
    variables of the run or has forbidden their inspection. The pid 0 is a process outside of this PID namespace, which
    no step here has started.
    """
    if pid == 0:
        return False
    ancestors = list(_ancestors(pid))
    # What this process has started is a step, or a command of a definition.
    return not ancestors or any(
        each == os.getpid() or any(map(_is_shim, (each, session))) or _is_marked(each) for each, session in ancestors
    )


def _ancestors(pid: int) -> Iterator[tuple[int, int]]:
    """Yield a process and its ancestors, each with its session."""
    for _ in range(_MOST_ANCESTORS):
        fields = _read(pid, "stat").rpartition(b") ")[2].split()
        if not fields:
            return
        yield pid, int(fields[_SESSION])
        pid = int(fields[_PARENT])


def _is_shim(pid: int) -> bool:
    arguments = _read(pid, "cmdline").split(b"\0")
    return len(arguments) > 1 and arguments[1].endswith(_SHIM_PATH)


def _is_marked(pid: int) -> bool:
    return any(entry.startswith(_MARK) for entry in _read(pid, "environ").split(b"\0"))


def _read(pid: int, name: str) -> bytes:
    """Read a file of a process; empty if it has ended or cannot be inspected."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
