"""Presenter of queues (api-behaviour 3.7). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import tzinfo

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.presenters.runs import run_summary
from dagbook.api.schemas.queues import Paused, Queue, QueuesSummary
from dagbook.api.schemas.runs import DAGRunSummary, PlaceHolder, WaitingFor
from dagbook.db.repositories.queue import ActiveRunRow, QueuedRunRow
from dagbook.engine.admission import Pause, QueueConfig, QueueSnapshot
from dagbook.queues.wait_reasons import QueuePosition, head_reasons, queue_position

_MAX_ACTIVE_SHOWN = 20


class QueueView(msgspec.Struct, kw_only=True):
    """A queue with its active and queued runs; ``limit`` is below 1 when the number of active runs is unlimited."""

    name: str
    configured: bool = False
    limit: int = 0
    active: list[ActiveRunRow] = []
    queued: list[QueuedRunRow] = []


def group_by_queue(
    queues: QueueConfig, active: Sequence[ActiveRunRow], queued: Sequence[QueuedRunRow], paused: Sequence[str] = ()
) -> list[QueueView]:
    """Group runs by queue: configured queues first and in their order, the others by name.

    A queue that is not configured exists because of a run or a pause, and has the limit of the first run in it.
    """
    configured = queues.limits if queues.enabled else {}
    found = {name: QueueView(name=name, configured=True, limit=limit) for name, limit in configured.items()}
    for run in active:
        _view_of(run, found).active.append(run)
    for run in queued:
        _view_of(run, found).queued.append(run)
    for name in paused:
        found.setdefault(name, QueueView(name=name))
    others = sorted(found.keys() - configured.keys())
    return [found[name] for name in (*configured, *others)]


def _view_of(run: ActiveRunRow, found: dict[str, QueueView]) -> QueueView:
    name = run.queue
    if name not in found:
        found[name] = QueueView(name=name, limit=run.max_active_runs)
    return found[name]


def is_visible(view: QueueView, visible: Collection[str] | None) -> bool:
    """Whether a queue is shown: all are to those who see everything, else those with a visible run, or configured."""
    return visible is None or view.configured or any(run.dag_name in visible for run in (*view.active, *view.queued))


def to_queue(
    view: QueueView,
    snapshot: QueueSnapshot,
    queues: QueueConfig,
    zone: tzinfo,
    visible: Collection[str] | None = None,
    waiting: Collection[int] = (),
) -> Queue:
    """Convert a queue with all its visible runs, None for all; ``waiting`` are those that wait for an approval."""
    active = [run for run in view.active if visible is None or run.dag_name in visible]
    queued = to_queued_runs(view.queued, view.queued[:1], snapshot, queues, zone)
    return Queue(
        name=view.name,
        type="global" if view.configured else "dag-based",
        max_concurrency=view.limit if view.limit > 0 else UNSET,
        running=[run_summary(run, zone, waiting) for run in active],
        queued=[run for run in queued if visible is None or run.name in visible],
        paused=to_pause(snapshot.pause, zone),
    )


def to_queued_runs(
    runs: Sequence[QueuedRunRow],
    first: Sequence[QueuedRunRow],
    snapshot: QueueSnapshot,
    queues: QueueConfig,
    zone: tzinfo,
    positions: Sequence[int] = (),
) -> list[DAGRunSummary]:
    """Convert queued runs of one queue, whose head is ``first``; by default their positions count from 1."""
    heads = head_reasons(queues, first, {row.queue: snapshot for row in first})
    summaries = []
    for position, run in zip(positions or range(1, len(runs) + 1), runs, strict=True):
        summary = run_summary(run, zone)
        if head := heads.get(run.queue):
            summary.waiting_for = waiting_for(queue_position(run.item, run.priority, position, head), zone)
        summaries.append(summary)
    return summaries


def waiting_for(found: QueuePosition, zone: tzinfo) -> WaitingFor:
    """Convert a run's queue position and wait reason."""
    wait = found.wait
    limited = wait.limit is not None
    held_by = [
        PlaceHolder(name=run.dag_name, dag_run_id=run.run_id, started_at=time_text(run.since, zone))
        for run in wait.active_runs[:_MAX_ACTIVE_SHOWN]
    ]
    return WaitingFor(
        queue=wait.queue,
        item=found.item,
        priority=found.priority,
        position=found.position,
        reason=wait.cause.value,
        message=wait.text,
        limit=wait.limit if wait.limit is not None else UNSET,
        running=wait.active if limited else UNSET,
        held_by=held_by if limited else UNSET,
        since=time_text(wait.pause.since, zone) if wait.pause else UNSET,
        by=or_unset(wait.pause.actor or "") if wait.pause else UNSET,
        until=or_unset(time_text(wait.pause.until, zone)) if wait.pause else UNSET,
        pause_reason=or_unset(wait.pause.reason) if wait.pause else UNSET,
        everything=or_unset(wait.pause.everything) if wait.pause else UNSET,
        selector=dict(wait.selector) if wait.selector else UNSET,
    )


def to_pause(pause: Pause | None, zone: tzinfo) -> Paused | UnsetType:
    """Convert the pause of a queue; unset when it is not paused."""
    if pause is None:
        return UNSET
    return Paused(
        since=time_text(pause.since, zone),
        by=or_unset(pause.actor),
        reason=or_unset(pause.reason),
        until=or_unset(time_text(pause.until, zone)),
    )


def summarize(queues: Sequence[Queue]) -> QueuesSummary:
    """Sum up all queues; those without a limit add nothing to the capacity."""
    running = sum(len(queue.running) for queue in queues)
    capacity = sum(queue.max_concurrency for queue in queues if queue.max_concurrency is not UNSET)
    return QueuesSummary(
        total_queues=len(queues),
        total_running=running,
        total_queued=sum(len(queue.queued) for queue in queues),
        total_capacity=capacity,
        utilization_percentage=min(running / capacity * 100, 100.0) if capacity else 0.0,
    )
