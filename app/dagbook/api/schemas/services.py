"""Schemas of schedulers, coordinators, workers and the machine's load (tags system and monitoring)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema

InstanceStatus = Literal["active", "inactive", "unknown"]
WorkerHealth = Literal["healthy", "warning", "unhealthy"]


class SchedulerInstance(Schema, kw_only=True):
    """A scheduler process."""

    instance_id: str
    host: str
    status: InstanceStatus
    started_at: str


class SchedulerStatusResponse(Schema, kw_only=True):
    """All schedulers."""

    schedulers: list[SchedulerInstance]


class CoordinatorInstance(SchedulerInstance, kw_only=True):
    """A process that dispatches runs to workers."""

    port: int


class CoordinatorStatusResponse(Schema, kw_only=True):
    """All coordinators."""

    coordinators: list[CoordinatorInstance]


class RunningTask(Schema, kw_only=True):
    """An active run of a worker."""

    dag_run_id: str
    dag_name: str
    started_at: str
    root_dag_run_name: str | UnsetType = UNSET
    root_dag_run_id: str | UnsetType = UNSET
    parent_dag_run_name: str | UnsetType = UNSET
    parent_dag_run_id: str | UnsetType = UNSET


class Worker(Schema, kw_only=True):
    """A worker process, which executes runs for the servers."""

    id: str
    labels: dict[str, str]
    total_pollers: int
    busy_pollers: int
    running_tasks: list[RunningTask]
    last_heartbeat_at: str
    health_status: WorkerHealth


class WorkersListResponse(Schema, kw_only=True):
    """All workers."""

    workers: list[Worker]
    errors: list[str]


class MetricPoint(Schema, kw_only=True):
    """A value at an instant, in Unix seconds."""

    timestamp: int
    value: float


class ResourceHistory(Schema, kw_only=True):
    """The machine's load over time: percentages, and the load of the last minute."""

    cpu: list[MetricPoint] | UnsetType = UNSET
    memory: list[MetricPoint] | UnsetType = UNSET
    disk: list[MetricPoint] | UnsetType = UNSET
    load: list[MetricPoint] | UnsetType = UNSET
