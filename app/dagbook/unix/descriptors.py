"""File descriptors: their limit, and files without a name that a child inherits.

This process takes all descriptors that it may have, its steps get the limit that it was started with: programs that use
``select``, or that close each possible descriptor, fail or crawl under a high limit.
"""

from __future__ import annotations

import fcntl
import os
import resource
from contextlib import suppress

_original: list[tuple[int, int]] = []  # empty while the limit is as it was


_FIRST_FREE = 10  # a descriptor that no shell in between uses


def memory_file(data: bytes) -> int:
    """Return a descriptor of a file without a name, which needs no clean-up and is read under every account."""
    with os.fdopen(os.memfd_create("dagbook"), "w+b") as file:
        file.write(data)
        file.seek(0)
        return fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)


def raise_limit() -> None:
    """Raise the soft limit to the hard one."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[0] == limits[1]:
        return
    with suppress(ValueError, OSError):  # the kernel allows less than the hard limit says
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        _original[:] = [limits]


def restore_limit(pid: int) -> None:
    """Give a child the limit that this process was started with."""
    if _original:
        with suppress(OSError):  # it has ended, or belongs to another user
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _original[0])
