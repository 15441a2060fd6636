"""Ports of the component that executes runs, ``Supervisor``: what is asked of it, and its signal to the queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dagbook.db.repositories.approvals import DecisionRow
from dagbook.db.repositories.runs.runs import StopRequest
from dagbook.runs.model import ClaimedRun, RetryOptions, RunRequest, StopOrder


class RunControl(Protocol):
    """Starts, stops and retries runs in this process."""

    @property
    def active_count(self) -> int:
        """The number of active runs of this process, without sub-runs."""

    async def accept(self, request: RunRequest, run: ClaimedRun) -> bool:
        """Store a new run and start it; returns True if it was queued instead. Raises RunRefusedError."""

    async def enqueue(self, request: RunRequest, run: ClaimedRun) -> None:
        """Store a new run as queued. Raises RunRefusedError."""

    async def start_queued(self, keys: Sequence[int]) -> list[BaseException | None]:
        """Dequeue runs and start them; returns the error of each, None if it was started.

        The error is RunRefusedError when the run is not the next of its queue any more.
        """

    async def cancel_queued(self, key: int) -> None:
        """Finish a queued run as aborted."""

    async def fail_queued(self, key: int, reason: str) -> None:
        """Fail a queued run that cannot be started."""

    async def retry(self, key: int, retry: RetryOptions) -> None:
        """Start the next attempt of a finished run."""

    async def start_attempt(self, key: int, *, attempt: int, directory: str) -> None:
        """Start an attempt of a finished sub-run in the directory of its caller."""

    async def stop_left(self, key: int, stop: StopOrder) -> bool:
        """End a run that has no owner and gets none from this process; returns False for other runs."""

    def notify_stop(self, request: StopRequest) -> None:
        """Notify a run of this process of a stop request."""

    def notify_decision(self, decision: DecisionRow) -> None:
        """Notify a run of this process of the decision about an approval."""


ALL_QUEUES = ""


class QueueSignal:
    """Names of the queues in which a run was added, was removed or has finished; notifications coalesce."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._wake: Callable[[], None] | None = None

    def connect(self, wake: Callable[[], None]) -> None:
        """Set what wakes the loop that takes the names."""
        self._wake = wake

    def notify(self, queue: str = ALL_QUEUES) -> None:
        """Report a change of a queue, by default of all."""
        self._names.add(queue)
        if self._wake is not None:
            self._wake()

    def take(self) -> set[str]:
        """Return the queues reported since the last call."""
        names, self._names = self._names, set()
        return names
