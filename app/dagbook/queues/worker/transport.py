"""The port by which servers offer runs to workers.

The run's row and its queue entry stay authoritative: an offer may be lost, repeated or out of date. A worker that takes
an offer claims the run as a dispatcher does; servers repeat the offer until the run is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dagbook.engine.admission import Labels


class Offer(msgspec.Struct, frozen=True):
    """A run that a worker has taken, and the transport's record of the offer."""

    run: int
    record: Any = None


class WorkerTransport(Protocol):
    """Transports offers; every method raises DatabaseUnavailable."""

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        """Offer runs to workers that have the labels; a run that is offered already is not offered twice."""

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:
        """Take at most ``most`` offers for a worker with these labels; no other worker gets them for a while."""

    async def remove(self, offers: Sequence[Offer]) -> None:
        """Remove offers that were taken, whether or not their runs were started."""

    async def close(self) -> None:
        """Close the connection."""


class NullTransport:
    """The transport without workers: runs with a worker selector stay queued (``QueueConfig.workers``)."""

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        pass

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:  # noqa: ARG002 - the protocol's signature
        return ()

    async def remove(self, offers: Sequence[Offer]) -> None:
        pass

    async def close(self) -> None:
        pass
