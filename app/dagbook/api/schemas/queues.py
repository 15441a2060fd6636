"""Queues as the contract shows them (tag queues)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from dagbook.api.schemas.common import Pagination, Schema
from dagbook.api.schemas.runs import DAGRunSummary

_Count = Annotated[int, Meta(ge=0)]


class Paused(Schema, kw_only=True):
    """Since when a queue is paused, and by whom."""

    since: str
    by: str | UnsetType = UNSET


class Queue(Schema, kw_only=True):
    """A queue with the runs that are under way in it and those that wait, in order."""

    name: str
    type: Literal["global", "dag-based"]
    max_concurrency: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    running: list[DAGRunSummary]
    queued: list[DAGRunSummary]
    paused: Paused | UnsetType = UNSET


class QueueItems(Schema, kw_only=True):
    """A queue with a page of the runs that wait in it, in order."""

    name: str
    type: Literal["global", "dag-based"]
    max_concurrency: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    paused: Paused | UnsetType = UNSET
    running: list[DAGRunSummary]
    items: list[DAGRunSummary]
    pagination: Pagination


class QueueState(Schema, kw_only=True):
    """A queue that was paused or resumed."""

    name: str
    paused: Paused | UnsetType = UNSET


class QueueMove(Schema, kw_only=True):
    """Where a run that waits is to stand from now on; ``after`` is the item of another one there."""

    priority: int | UnsetType | None = UNSET
    to_front: bool | UnsetType | None = UNSET
    after: int | UnsetType | None = UNSET


class ClearQueue(Schema, kw_only=True):
    """The name of the queue that is to be cleared, typed once more."""

    name: str


class ClearedQueue(Schema, kw_only=True):
    """How many runs were taken out."""

    removed: _Count


class QueuesSummary(Schema, kw_only=True):
    """All queues in numbers."""

    total_queues: _Count
    total_running: _Count
    total_queued: _Count
    total_capacity: _Count
    utilization_percentage: Annotated[float, Meta(ge=0, le=100)]


class QueuesResponse(Schema, kw_only=True):
    """All queues in which something goes on, and those that are configured."""

    queues: list[Queue]
    summary: QueuesSummary


class EnqueueDAG(Schema, kw_only=True):
    """How to enqueue a stored DAG."""

    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    dag_name: str | UnsetType | None = UNSET
    queue: str | UnsetType | None = UNSET
    priority: int | UnsetType | None = UNSET


class EnqueueInline(Schema, kw_only=True):
    """A definition to be run when its turn comes, without being stored as a DAG."""

    spec: str
    name: str | UnsetType | None = UNSET
    params: str | UnsetType | None = UNSET
    dag_run_id: str | UnsetType | None = UNSET
    queue: str | UnsetType | None = UNSET
    priority: int | UnsetType | None = UNSET  # ours, as the next
    source_directory: str | UnsetType | None = UNSET  # where a file lies that a terminal enqueues
