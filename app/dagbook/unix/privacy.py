"""What other processes of the same account can read of this one.

Steps without an account of their own run under that of the server. For them, /proc would have its environment, with
every secret in it, and its memory.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from pathlib import Path

_PR_SET_DUMPABLE = 4
_ENV_START = 47  # in /proc/PID/stat, counted after the command's closing parenthesis; the end is the next field


def forbid_inspection() -> None:
    """Close this process's environment, memory and descriptors in /proc to all but root; it also dumps no core.

    A program that it starts is open again: the kernel resets that with the exec.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def wipe_variables(names: Collection[str]) -> None:
    """Remove variables from this process's environment, and their text from what /proc shows of it.

    Root reads /proc in spite of ``forbid_inspection``, and so do the steps of a server that root has started.
    """
    for name in names:
        os.environ.pop(name, None)
    wanted = {name.encode() for name in names}
    # The addresses of the block that the process was started with; zeros where the kernel hides them.
    fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(") ")[2].split()
    start, end = int(fields[_ENV_START]), int(fields[_ENV_START + 1])
    offset = start
    for entry in ctypes.string_at(start, end - start).split(b"\0") if wanted and start else ():
        if entry.partition(b"=")[0] in wanted:
            ctypes.memset(offset, 0, len(entry))
        offset += len(entry) + 1
