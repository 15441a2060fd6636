"""Schemas of batches (extension of the contract). What a batch is asked is in ``dagbook.batches.requests``."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.batches.requests import RunsFilter

BatchAction = Literal["start", "retry", "again", "stop", "dequeue", "delete"]
BatchItemState = Literal["planned", "begun", "done", "failed", "left_out"]


class BatchCounts(Schema, kw_only=True):
    """How many items of a batch have each state."""

    planned: int = 0
    begun: int = 0
    done: int = 0
    failed: int = 0
    left_out: int = 0


class BatchFilter(RunsFilter, frozen=True, kw_only=True):
    """What a batch was asked: a DAG as it was named then, and the range of its scheduled times, or a filter of runs."""

    dag: str | UnsetType = UNSET
    from_: str | UnsetType = msgspec.field(name="from", default=UNSET)
    to: str | UnsetType = UNSET
    only: str | UnsetType = UNSET
    unknown: bool | UnsetType = UNSET


class Batch(Schema, kw_only=True):
    """A batch. ``dag`` is the file name of its DAG, ``dagName`` the name of its runs.

    Both are missing when the DAG was deleted, and when the batch may have runs of several.

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
    ``step`` is in a dry run: whether a run starts, is retried in place, or is replaced by a new one; else the action.
    """

    place: int
    dag: str | UnsetType = UNSET
    dag_name: str | UnsetType = UNSET
    scheduled_at: str | UnsetType = UNSET
    source_run_id: str | UnsetType = UNSET
    dag_run_id: str | UnsetType = UNSET
    state: BatchItemState
    step: BatchAction | UnsetType = UNSET
    why: str | UnsetType = UNSET


class BatchItems(Schema, kw_only=True):
    """A page of items in their order."""

    items: list[BatchItem]
    next_cursor: str | UnsetType = UNSET


class CreatedBatch(Schema, kw_only=True):
    """What became of a request; without items, and after a dry run, there is no batch.

    ``slots`` counts the outcomes of all scheduled times of the range, ``runs`` the statuses of the runs that match,
    ``steps`` what the items begin with, and ``held`` what other open batches have of them, by their ids. ``revision``
    is the text that runs, if all have the same. ``items`` are the first ones of a dry run.
    """

    batch_id: int | UnsetType = UNSET
    counts: BatchCounts
    slots: dict[str, int]
    runs: dict[str, int]
    steps: dict[str, int]
    held: dict[str, int]
    warnings: list[str]
    schedule: list[str]
    zone: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
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
