"""Wake-up signal for the queue dispatcher of this process."""

from __future__ import annotations

from collections.abc import Callable

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
