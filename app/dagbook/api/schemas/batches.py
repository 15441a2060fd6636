"""Schemas of batches (extension of the contract). What a batch is asked is in ``dagbook.batches.requests``."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema

BatchAction = Literal["start", "retry", "again", "stop", "dequeue", "delete"]
BatchItemState = Literal["planned", "begun", "done", "failed", "left_out"]


class BatchCounts(Schema, kw_only=True):
    """How many items of a batch have each state."""

    planned: int = 0
    begun: int = 0
    done: int = 0
    failed: int = 0
    left_out: int = 0


class BatchFilter(Schema, kw_only=True):
    """What a batch was asked: a DAG as it was named then, and the range of its scheduled times."""

    dag: str
    from_: str = msgspec.field(name="from")
    to: str
    only: str | UnsetType = UNSET
    unknown: bool | UnsetType = UNSET


class Batch(Schema, kw_only=True):
    """A batch. ``dag`` is the file name of its DAG, ``dagName`` the name of its runs; both are missing when it is gone.

    ``pausedWhy`` says why it has paused itself.
    """

    id: int
    action: BatchAction
    dag: str | UnsetType = UNSET
    dag_name: str | UnsetType = UNSET
    filter: BatchFilter
    params: dict[str, str]
    text: str
    parallel: int
    order: str
    on_failure: str
    reason: str | UnsetType = UNSET
    created_at: str
    created_by: str | UnsetType = UNSET
    paused_at: str | UnsetType = UNSET
    paused_by: str | UnsetType = UNSET
    paused_why: str | UnsetType = UNSET
    cancelled_at: str | UnsetType = UNSET
    cancelled_by: str | UnsetType = UNSET
    ended_at: str | UnsetType = UNSET
    counts: BatchCounts
    may_run: bool


class BatchList(Schema, kw_only=True):
    """A page of batches, the newest first."""

    batches: list[Batch]
    next_cursor: str | UnsetType = UNSET


class BatchItem(Schema, kw_only=True):
    """A scheduled time, or a run, of a batch; ``sourceRunId`` is the run that is done again.

    ``dagName`` is the name that its run has, else the one that is done again.
    ``step`` is in a dry run: whether a run starts, is retried in place, or is replaced by a new one.
    """

    place: int
    dag: str | UnsetType = UNSET
    dag_name: str | UnsetType = UNSET
    scheduled_at: str | UnsetType = UNSET
    source_run_id: str | UnsetType = UNSET
    dag_run_id: str | UnsetType = UNSET
    state: BatchItemState
    step: Literal["start", "retry", "again"] | UnsetType = UNSET
    why: str | UnsetType = UNSET


class BatchItems(Schema, kw_only=True):
    """A page of items in their order."""

    items: list[BatchItem]
    next_cursor: str | UnsetType = UNSET


class CreatedBatch(Schema, kw_only=True):
    """What became of a request; without items, and after a dry run, there is no batch.

    ``slots`` counts the outcomes of all scheduled times of the range, ``steps`` what the items begin with, and ``held``
    the times that other open batches have, by their ids. ``items`` are the first ones of a dry run.
    """

    batch_id: int | UnsetType = UNSET
    counts: BatchCounts
    slots: dict[str, int]
    steps: dict[str, int]
    held: dict[str, int]
    schedule: list[str]
    zone: str
    revision: int
    items: list[BatchItem] | UnsetType = UNSET


class CancelBatch(Schema, kw_only=True):
    """Whether the active runs of a batch are stopped, too."""

    stop_runs: bool = False


class BatchOfRun(Schema, kw_only=True):
    """The batch that a run was started for, who has made it, and why."""

    id: int
    created_by: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class BatchChange(Schema, kw_only=True):
    """A batch has changed, or what became of its items; without the name of its DAG it is one of several."""

    at: str
    name: str | UnsetType = UNSET


class DagSlot(Schema, kw_only=True):
    """A scheduled time of a DAG, and what became of it: the status of its run, or why there is none.

    It is ``unknown`` after 90 days, and when its run was deleted. ``batchId`` is the open batch that has it.
    """

    scheduled_at: str
    outcome: str
    dag_run_id: str | UnsetType = UNSET
    batch_id: int | UnsetType = UNSET


class DagSlots(Schema, kw_only=True):
    """The scheduled times of a DAG, in order."""

    slots: list[DagSlot]
