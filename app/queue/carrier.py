"""What carries "this run is to be executed by a worker that fits" from servers to workers.

The run's row and its entry in a queue stay the truth: an offer may be lost, repeated or out of date. Who takes one up
claims the run as a server does that serves its queue; servers offer it again until somebody has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from app.engine.admission import Labels


class Offer(msgspec.Struct, frozen=True):
    """A run that somebody has taken up, and the carrier's own record of the offer."""

    run: int
    record: Any = None


class Carrier(Protocol):
    """Carries offers; every method raises DatabaseUnavailable."""

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        """Offer runs to workers that have the labels; those that are on offer already stay so, once."""

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:
        """Take up so many offers at most that a worker with these labels fits; nobody else gets them for a while."""

    async def settle(self, offers: Sequence[Offer]) -> None:
        """Remove offers that were taken up, whatever became of their runs."""

    async def close(self) -> None:
        """Let go of the connection."""


class NoCarrier:
    """Where nothing can be carried: no run that asks for workers is released (``QueueConfig.workers``)."""

    async def offer(self, runs: Mapping[int, Labels]) -> None:
        """Do nothing."""

    async def take(self, labels: Labels, most: int) -> Sequence[Offer]:  # noqa: ARG002 - the protocol's signature
        """Find nothing."""
        return ()

    async def settle(self, offers: Sequence[Offer]) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
