"""Which of those that wait in queues may go now, and why the others may not (runtime 22). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """A run that waits: its key, its queue, and how many active runs its DAG allows."""

    run: int
    queue: str
    max_active_runs: int


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """What is configured: whether queues are served, and how many runs some of them may have under way at a time."""

    enabled: bool = True
    limits: Mapping[str, int] = {}

    def limit(self, entry: Entry) -> int | None:
        """Tell how many runs may be under way in the queue of an entry; None for any number.

        The number of a configured queue counts whatever its DAGs say; any other queue has that of the DAG, at least 1.
        """
        if entry.queue in self.limits:
            return self.limits[entry.queue]
        return None if entry.max_active_runs < 0 else max(entry.max_active_runs, 1)


class Admission(msgspec.Struct, frozen=True):
    """The runs that may go, in the order of their turns, and why each of the others waits."""

    released: tuple[int, ...]
    waiting: Mapping[int, str]


def admit(entries: Sequence[Entry], live: Mapping[str, int], queues: Queues) -> Admission:
    """Say who may go now; ``entries`` come in the order in which they are served, ``live`` counts runs by queue.

    A queue is served strictly in order: one that has to wait holds up all behind it.
    """
    released: list[int] = []
    waiting: dict[int, str] = {}
    busy = dict(live)
    held_up: dict[str, int] = {}
    for entry in entries:
        reason = _reason(entry, busy.get(entry.queue, 0), held_up.get(entry.queue, 0), queues)
        if reason:
            waiting[entry.run] = reason
            held_up[entry.queue] = held_up.get(entry.queue, 0) + 1
        else:
            released.append(entry.run)
            busy[entry.queue] = busy.get(entry.queue, 0) + 1
    return Admission(tuple(released), waiting)


def _reason(entry: Entry, busy: int, before: int, queues: Queues) -> str:
    """Say why an entry has to wait; empty when it need not."""
    if not queues.enabled:
        return "queues are switched off (queues_enabled)"
    if before:
        return f"{before} before it in queue {entry.queue!r}"
    limit = queues.limit(entry)
    if limit is None or busy < limit:
        return ""
    return f"queue {entry.queue!r} has {busy} of at most {limit} runs under way"
