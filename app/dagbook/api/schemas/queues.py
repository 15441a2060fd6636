"""Schemas of queues (tag queues)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Pagination, Schema
from dagbook.api.schemas.runs import DAGRunSummary

_Count = Annotated[int, Meta(ge=0)]


class Paused(Schema, kw_only=True):
    """The pause of a queue: its start and its actor, why, and until when."""

    since: str
    by: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    until: str | UnsetType = UNSET


class PauseQueue(Schema, kw_only=True):
    """Why a queue is paused, and until when: RFC 3339, no end without it."""

    reason: str | UnsetType | None = UNSET
    until: str | UnsetType | None = UNSET


class Queue(Schema, kw_only=True):
    """A queue with its active runs and its queued runs in order."""

    name: str
    type: Literal["global", "dag-based"]
    max_concurrency: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    running: list[DAGRunSummary]
    queued: list[DAGRunSummary]
    paused: Paused | UnsetType = UNSET


class QueueItems(Schema, kw_only=True):
    """A queue with a page of its queued runs in order."""

    name: str
    type: Literal["global", "dag-based"]
    max_concurrency: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    paused: Paused | UnsetType = UNSET
    running: list[DAGRunSummary]
    items: list[DAGRunSummary]
    pagination: Pagination


class QueueState(Schema, kw_only=True):
    """The state of a queue that was paused or resumed."""

    name: str
    paused: Paused | UnsetType = UNSET


class QueueMove(Schema, kw_only=True):
    """The new position or priority of a queue entry; ``after`` is the item of another entry of the queue."""

    priority: int | UnsetType | None = UNSET
    to_front: bool | UnsetType | None = UNSET
    after: int | UnsetType | None = UNSET


class ClearQueue(Schema, kw_only=True):
    """Confirmation of clearing a queue: its name again."""

    name: str


class ClearedQueue(Schema, kw_only=True):
    """The number of runs that were removed from a queue."""

    removed: _Count


class QueuesSummary(Schema, kw_only=True):
    """Totals over all queues."""

    total_queues: _Count
    total_running: _Count
    total_queued: _Count
    total_capacity: _Count
    utilization_percentage: Annotated[float, Meta(ge=0, le=100)]


class QueuesResponse(Schema, kw_only=True):
    """The configured queues, and all others with active or queued runs or a pause."""

    queues: list[Queue]
    summary: QueuesSummary


class EnqueueDAG(Schema, kw_only=True):
    """Options for enqueueing a run of a stored DAG."""

    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    dag_name: str | UnsetType | None = UNSET
    queue: str | UnsetType | None = UNSET
    priority: int | UnsetType | None = UNSET


class EnqueueInline(Schema, kw_only=True):
    """A definition to enqueue without storing it as a DAG."""

    spec: str
    name: str | UnsetType | None = UNSET
    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    queue: str | UnsetType | None = UNSET
    priority: int | UnsetType | None = UNSET  # extension, as the next
    source_directory: str | UnsetType | None = UNSET  # directory of a file that the CLI enqueues
