"""Limits of processes that run jq programs: a program may never end, and may allocate without bound."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
from collections.abc import Callable

import msgspec

_MEBIBYTE = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one process may use; ``seconds`` is wall clock, for a process that waits instead of computing."""

    cpu_seconds: int
    seconds: int
    memory: int  # bytes of address space

    def apply(self) -> None:
        """Limit this process: SIGXCPU ends it at its limit of processor time, allocations beyond its memory fail."""
        _lower(resource.RLIMIT_CPU, self.cpu_seconds)
        _lower(resource.RLIMIT_AS, self.memory)
        _lower(resource.RLIMIT_CORE, 0)

    def reason(self, code: int) -> str | None:
        """Say which limit has ended a process, by its exit code (negative: a signal); None if none has."""
        if code == -signal.SIGXCPU:
            return f"took more than {self.cpu_seconds} seconds of processor time"
        return self.too_large if code == -signal.SIGABRT else None  # jq aborts when it gets no memory

    @property
    def too_large(self) -> str:
        return f"needs more than {self.memory // _MEBIBYTE} MiB of memory"

    @property
    def too_slow(self) -> str:
        return f"took longer than {self.seconds} seconds"


# A run whose program never ends is finished within 45 seconds.
STEP = Limits(cpu_seconds=20, seconds=40, memory=1024 * _MEBIBYTE)
QUERY = Limits(cpu_seconds=3, seconds=20, memory=512 * _MEBIBYTE)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    highest = sys.maxsize if hard == resource.RLIM_INFINITY else hard  # the account's own limit may be lower
    # The soft limit sends SIGXCPU, the hard one a SIGKILL that says nothing about the reason.
    resource.setrlimit(kind, (min(value, highest), min(value + 1, highest)))


def run_limited(main: Callable[[], int], limits: Limits) -> int:
    """Run ``main`` in a child of this process and return its exit code; a limit is one sentence on stderr.

    C code cannot be interrupted to report that it has reached a limit, so this process waits for it.
    """
    child = os.fork()
    if not child:
        limits.apply()
        code = main()
        sys.stderr.flush()
        os._exit(code)
    reason = None if _ends_within(child, limits.seconds) else limits.too_slow
    if reason:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    reason = reason or limits.reason(code)
    if reason is None and code < 0:  # a signal to this process alone would look the same
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    if reason is not None:
        sys.stderr.write(f"jq: the program {reason}\n")
    return 1 if code < 0 else code


def _ends_within(pid: int, seconds: float) -> bool:
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)
