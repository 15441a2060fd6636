"""Runs as the queues that they are in (api-behaviour 3.7). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.presenters.present import run_summary, time_text
from dagbook.api.schemas.common import or_unset
from dagbook.api.schemas.queues import Paused, Queue, QueuesSummary
from dagbook.api.schemas.runs import DAGRunSummary, PlaceHolder, WaitingFor
from dagbook.db.repositories.rows import Row
from dagbook.engine.admission import Pause, QueueConfig, QueueSnapshot, WaitReason
from dagbook.queues.wait_reasons import QueuePosition, head_reasons, queue_position

_MAX_ACTIVE_SHOWN = 20


class QueueView(msgspec.Struct, kw_only=True):
    """A queue with what goes on in it; ``limit`` is below 1 where any number of runs may be under way."""

    name: str
    configured: bool = False
    limit: int = 0
    active: list[Row] = []
    queued: list[Row] = []


def group_by_queue(
    queues: QueueConfig, live: Sequence[Row], waiting: Sequence[Row], paused: Sequence[str] = ()
) -> list[QueueView]:
    """Sort runs into their queues: configured ones first and in their order, the others by name.

    A queue that is not configured has the limit of the first run in it; it is there because of a run, or a pause.
    """
    configured = queues.limits if queues.enabled else {}
    found = {name: QueueView(name=name, configured=True, limit=limit) for name, limit in configured.items()}
    for run in live:
        _group_of(run, found).active.append(run)
    for run in waiting:
        _group_of(run, found).queued.append(run)
    for name in paused:
        found.setdefault(name, QueueView(name=name))
    others = sorted(found.keys() - configured.keys())
    return [found[name] for name in (*configured, *others)]


def _group_of(run: Row, found: dict[str, QueueView]) -> QueueView:
    name = run["queue"]
    if name not in found:
        found[name] = QueueView(name=name, limit=run["max_active_runs"])
    return found[name]


def to_queue(group: QueueView, scene: QueueSnapshot, queues: QueueConfig, zone: tzinfo) -> Queue:
    """Show a queue with all runs in it."""
    return Queue(
        name=group.name,
        type="global" if group.configured else "dag-based",
        max_concurrency=group.limit if group.limit > 0 else UNSET,
        running=[run_summary(run, zone) for run in group.active],
        queued=to_queued_runs(group.queued, group.queued[:1], scene, queues, zone),
        paused=to_pause(scene.pause, zone),
    )


def to_queued_runs(
    runs: Sequence[Row], first: Sequence[Row], scene: QueueSnapshot, queues: QueueConfig, zone: tzinfo, before: int = 0
) -> list[DAGRunSummary]:
    """Show runs that wait in one queue, of which ``first`` is the first, with so many before these."""
    heads = head_reasons(queues, first, {row["queue"]: scene for row in first})
    shown = []
    for position, run in enumerate(runs, before + 1):
        summary = run_summary(run, zone)
        if head := heads.get(run["queue"]):
            summary.waiting_for = waiting_for(queue_position(run["item"], run["priority"], position, head), zone)
        shown.append(summary)
    return shown


def waiting_for(found: QueuePosition, zone: tzinfo) -> WaitingFor:
    """Show how a run stands in its queue."""
    wait = found.wait
    limited = wait.limit is not None
    return WaitingFor(
        queue=wait.queue,
        item=found.item,
        priority=found.priority,
        position=found.position,
        reason=wait.cause.value,
        message=wait.text,
        limit=wait.limit if wait.limit is not None else UNSET,
        running=wait.active if limited else UNSET,
        held_by=_active_runs(wait, zone) if limited else UNSET,
        since=time_text(wait.pause.since, zone) if wait.pause else UNSET,
        by=or_unset(wait.pause.actor or "") if wait.pause else UNSET,
        selector=dict(wait.selector) if wait.selector else UNSET,
    )


def _active_runs(wait: WaitReason, zone: tzinfo) -> list[PlaceHolder]:
    return [
        PlaceHolder(name=one.dag_name, dag_run_id=one.run_id, started_at=time_text(one.since, zone))
        for one in wait.active_runs[:_MAX_ACTIVE_SHOWN]
    ]


def to_pause(pause: Pause | None, zone: tzinfo) -> Paused | UnsetType:
    """Show the pause of a queue, if it has one."""
    return UNSET if pause is None else Paused(since=time_text(pause.since, zone), by=or_unset(pause.actor or ""))


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
