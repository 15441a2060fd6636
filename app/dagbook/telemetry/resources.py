"""Load of the machine over time, sampled every few seconds and kept in memory (api-behaviour op 46)."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil

from dagbook.background import BackgroundLoop

_log = logging.getLogger(__name__)
_ROOM_BYTES = 65_536


class Sample(msgspec.Struct, frozen=True, gc=False):
    """Load of the machine at one time: Unix seconds, percentages, the load average of the last minute, free disk."""

    at: int
    cpu: float
    memory: float
    disk: float
    load: float
    free_bytes: int


def machine_now(directory: Path) -> Sample:
    """Sample the machine; CPU usage is measured since the last sample, disk usage at the directory's file system."""
    return Sample(
        at=int(time.time()),
        cpu=psutil.cpu_percent(),
        memory=psutil.virtual_memory().percent,
        disk=psutil.disk_usage(str(directory)).percent,
        load=psutil.getloadavg()[0],
        free_bytes=free_bytes(directory),
    )


def free_bytes(directory: Path) -> int:
    """Return what this process can still write to a file system, of which a part may be reserved for root."""
    found = os.statvfs(directory)
    return found.f_frsize * (found.f_bavail if os.geteuid() else found.f_bfree)


class ResourceSampler:
    """Samples the machine periodically, and keeps the samples."""

    def __init__(self, read: Callable[[], Sample], interval_seconds: float, retention_seconds: float) -> None:
        self._read = read
        self._loop = BackgroundLoop(
            "resources", self._sample, every_seconds=interval_seconds, failure="the machine's load could not be read"
        )
        self.retention_seconds = retention_seconds
        self._samples: deque[Sample] = deque()

    def start(self) -> None:
        """Take the first sample and start the loop; starting twice is harmless."""
        if not self._loop.is_started:
            self.run_once()
            self._loop.start()

    async def stop(self) -> None:
        """Stop the loop and keep the samples; stopping without a start is harmless."""
        await self._loop.stop()

    def run_once(self) -> None:
        """Take a sample and discard those that are too old."""
        try:
            sample = self._read()
        except OSError as error:  # for example a removed disk; the next sample may succeed
            _log.warning("the machine's load could not be read: %s", error)
            return
        self._samples.append(sample)
        while self._samples[0].at < sample.at - self.retention_seconds:
            self._samples.popleft()

    @property
    def is_disk_full(self) -> bool:
        """Whether the last sample found no room for the output of a step."""
        return bool(self._samples) and self._samples[-1].free_bytes < _ROOM_BYTES

    def since(self, at: float) -> Sequence[Sample]:
        """Return the samples since a time in Unix seconds, oldest first."""
        return [sample for sample in self._samples if sample.at >= at]

    async def _sample(self) -> None:
        self.run_once()
