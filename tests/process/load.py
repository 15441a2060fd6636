"""How busy the machine is, for bounds that hold on an idle one."""

from __future__ import annotations

import time

_SAMPLE_SECONDS = 0.05  # of a core


def measure_share() -> float:
    """Return which share of a core a thread gets at the moment: 1 on an idle machine."""
    begun, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < _SAMPLE_SECONDS:
        pass
    return _SAMPLE_SECONDS / max(time.monotonic() - begun, _SAMPLE_SECONDS)
