"""The limit of open file descriptors: this process takes all that it may have, its steps get what it was started with.

Programs that use ``select``, or that close each possible descriptor, fail or crawl under a high limit.
"""

from __future__ import annotations

import resource
from contextlib import suppress

_original: list[tuple[int, int]] = []  # empty while the limit is as it was


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
