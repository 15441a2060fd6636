"""Runs as the queues that they are in (api-behaviour 3.7). Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from app.api.schemas.queues import Queue, QueuesSummary
from app.db.repositories.reading import Row
from app.engine.admission import Queues


class Group(msgspec.Struct, kw_only=True):
    """A queue with what goes on in it; ``limit`` is below 1 where any number of runs may be under way."""

    name: str
    configured: bool = False
    limit: int = 0
    live: list[Row] = []
    waiting: list[Row] = []


def groups(queues: Queues, live: Sequence[Row], waiting: Sequence[Row]) -> list[Group]:
    """Sort runs into their queues: configured ones first and in their order, the others by name.

    A queue that is not configured has the limit of the first run in it.
    """
    configured = queues.limits if queues.enabled else {}
    found = {name: Group(name=name, configured=True, limit=limit) for name, limit in configured.items()}
    for run in live:
        _group_of(run, found).live.append(run)
    for run in waiting:
        _group_of(run, found).waiting.append(run)
    others = sorted(found.keys() - configured.keys())
    return [found[name] for name in (*configured, *others)]


def _group_of(run: Row, found: dict[str, Group]) -> Group:
    name = run["queue"]
    if name not in found:
        found[name] = Group(name=name, limit=run["max_active_runs"])
    return found[name]


def summarize(queues: Sequence[Queue]) -> QueuesSummary:
    """Count what goes on in all queues; those without a limit add nothing to the capacity."""
    running = sum(len(one.running) for one in queues)
    capacity = sum(one.max_concurrency for one in queues if one.max_concurrency is not UNSET)
    return QueuesSummary(
        total_queues=len(queues),
        total_running=running,
        total_queued=sum(len(one.queued) for one in queues),
        total_capacity=capacity,
        utilization_percentage=min(running / capacity * 100, 100.0) if capacity else 0.0,
    )
