"""Schemas of the overview of all DAGs (tag overview). An extension of the contract."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.runs import WaitingFor
from dagbook.engine.status import RunLabel, RunStatus

OverviewRange = Literal["night", "24h", "7d", "30d"]


class OverviewCount(Schema, kw_only=True):
    """How many runs have a status; with ``waitingForApproval`` the running ones that wait for a person."""

    status: RunStatus
    status_label: RunLabel
    count: int
    waiting_for_approval: bool | UnsetType = UNSET


class OverviewBar(Schema, kw_only=True):
    """The runs that were created from ``fromDate`` until before ``toDate``, in seconds since 1970."""

    from_date: int
    to_date: int
    counts: list[OverviewCount]


class LaterRun(Schema, kw_only=True):
    """A run of a DAG that failed: ``at`` is when it finished, or while it is active when it was created."""

    dag_run_id: str
    status: RunStatus
    status_label: RunLabel
    waiting_for_approval: bool | UnsetType = UNSET
    at: str


class FailureGroup(Schema, kw_only=True):
    """Runs of a DAG that failed in the range for one reason, the newest of which is ``dagRunId``.

    ``id`` is the same as long as DAG and reason are. ``lastGood`` is the newest run that succeeded; ``fixed`` says that
    it is newer than the failures. ``latest`` is the newest run, if that is newer. ``mayRetry`` is about the caller.
    """

    id: str
    name: str
    reason: str
    count: int
    first_at: str
    last_at: str
    dag_run_id: str
    fixed: bool
    last_good: LaterRun | UnsetType = UNSET
    latest: LaterRun | UnsetType = UNSET
    may_retry: bool | UnsetType = UNSET


class UnusualRun(Schema, kw_only=True):
    """A run that has been queued (late) or running (long) ``since`` a time, longer than is usual for its DAG."""

    kind: Literal["late", "long"]
    name: str
    dag_run_id: str
    since: str
    usual_seconds: float | UnsetType = UNSET


class QueueOverview(Schema, kw_only=True):
    """A queue: how many runs are queued and since when, and how long those were that started, in seconds.

    ``stuck`` says that it is paused, has no worker that fits, or that a run has been queued in it for an hour; then
    ``waitingFor`` is the reason.
    """

    name: str
    queued: int
    oldest_at: str | UnsetType = UNSET
    stuck: bool | UnsetType = UNSET
    waiting_for: WaitingFor | UnsetType = UNSET
    started: int
    median_wait: float | UnsetType = UNSET
    longest_wait: float | UnsetType = UNSET


class MissedStart(Schema, kw_only=True):
    """Scheduled starts of a DAG that did not happen: nothing was running when they were due, or the start failed."""

    file_name: str
    dag_name: str | UnsetType = UNSET
    outcome: Literal["missed", "failed"]
    starts: int
    last_at: str


class DiskSpace(Schema, kw_only=True):
    """The file system of the server's home; ``fullInSeconds`` is an estimate, if it fills within 30 days."""

    free_bytes: int
    used_percent: float
    full_in_seconds: int | UnsetType = UNSET


class SourceTrouble(Schema, kw_only=True):
    """A source that could not be synced, or has files with problems."""

    name: str
    broken: int
    problem: str | UnsetType = UNSET


class Overview(Schema, kw_only=True):
    """The root runs of a range over all DAGs that the caller sees, and what needs attention now.

    ``bars`` are hours or days. ``countedFrom`` and ``failuresFrom`` are set if there are too many runs, or failures, to
    read all: those before that time, in seconds since 1970, do not count. ``failures`` are at most 50 of
    ``failureGroups``. ``pausedSince`` is set if everything has been paused for more than a day without an end. Callers
    with grants have no ``disk``, ``dags`` and ``sources``.
    """

    range: OverviewRange
    unit: Literal["hour", "day"]
    from_date: int
    to_date: int
    bars: list[OverviewBar]
    counted_from: int | UnsetType = UNSET
    failures: list[FailureGroup]
    failure_groups: int
    failures_from: int | UnsetType = UNSET
    unusual: list[UnusualRun]
    queues: list[QueueOverview]
    missed: list[MissedStart]
    has_scheduler: bool
    paused_since: str | UnsetType = UNSET
    disk: DiskSpace | UnsetType = UNSET
    dags: int | UnsetType = UNSET
    sources: list[SourceTrouble] | UnsetType = UNSET
