"""Schedulers, coordinators and workers (tag system); api-behaviour ops 11, 47 and 48."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from litestar import Controller, get
from litestar.di import NamedDependency

from dagbook.api.openapi_responses import errors
from dagbook.api.presenters.present import time_text
from dagbook.api.schemas.services import (
    CoordinatorInstance,
    CoordinatorStatusResponse,
    RunningTask,
    SchedulerInstance,
    SchedulerStatusResponse,
    Worker,
    WorkerHealth,
    WorkersListResponse,
)
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import services
from dagbook.db.repositories.services import OwnedRunRow, ServiceRow

_HEALTHY, _WARNING = timedelta(seconds=5), timedelta(seconds=15)


def _read_workers(connection: ReadConnection, now: datetime) -> tuple[Sequence[ServiceRow], Sequence[OwnedRunRow]]:
    rows = services.find(connection, services.WORKER, now)
    return rows, services.find_active_runs(connection, [row.id for row in rows]) if rows else ()


def _by_start(rows: Sequence[ServiceRow]) -> list[ServiceRow]:
    return sorted(rows, key=lambda row: row.started_at)


def _instance(row: ServiceRow, parts: AppServices, now: datetime) -> dict[str, Any]:
    return {
        "host": row.host,
        "status": "active" if row.lease_until >= now else "inactive",
        "started_at": time_text(row.started_at, parts.zone),
    }


def _scheduler_id(row: ServiceRow) -> str:
    return f"{row.host}-{row.pid}-{int(row.started_at.timestamp())}"


def _coordinator(row: ServiceRow, parts: AppServices, now: datetime) -> CoordinatorInstance:
    # The id has the host name, because in containers every server listens on the same address.
    port = urlsplit(row.address).port or 0
    return CoordinatorInstance(instance_id=f"{row.host}@{port}", port=port, **_instance(row, parts, now))


def _worker(row: ServiceRow, tasks: Sequence[OwnedRunRow], parts: AppServices, now: datetime) -> Worker:
    capacity = row.capacity or 0  # every worker has one
    return Worker(
        id=row.name or row.id,
        labels=row.labels or {},
        total_pollers=capacity,
        busy_pollers=min(len(tasks), capacity),
        running_tasks=[_task(task, parts) for task in tasks],
        last_heartbeat_at=time_text(row.heartbeat_at, parts.zone),
        health_status=health(now - row.heartbeat_at),
    )


def health(silence: timedelta) -> WorkerHealth:
    """Return the health of a worker by the time since its last heartbeat."""
    if silence < _HEALTHY:
        return "healthy"
    return "warning" if silence < _WARNING else "unhealthy"


def _task(row: OwnedRunRow, parts: AppServices) -> RunningTask:
    return RunningTask(
        dag_run_id=row.run_id,
        dag_name=row.dag_name,
        started_at=time_text(row.opened_at, parts.zone),
        root_dag_run_name=row.root_name or "",
        root_dag_run_id=row.root_run_id or "",
        parent_dag_run_name=row.parent_name or "",
        parent_dag_run_id=row.parent_run_id or "",
    )


class ServicesController(Controller):
    @get("/services/scheduler", operation_id="getSchedulerStatus", requires=Requires.READ, responses=errors())
    async def list_schedulers(self, parts: NamedDependency[AppServices]) -> SchedulerStatusResponse:
        """List the scheduler processes; one with a valid lease is active."""
        now = parts.now()
        rows = await parts.database.read_inline(lambda connection: services.find(connection, services.SCHEDULER, now))
        return SchedulerStatusResponse(
            schedulers=[SchedulerInstance(instance_id=_scheduler_id(row), **_instance(row, parts, now)) for row in rows]
        )

    @get("/services/coordinator", operation_id="getCoordinatorStatus", requires=Requires.READ, responses=errors())
    async def list_coordinators(self, parts: NamedDependency[AppServices]) -> CoordinatorStatusResponse:
        """List the processes that dispatch runs to workers: all servers of a PostgreSQL database."""
        now = parts.now()
        shared = parts.database.dialect == "postgresql"
        rows = (
            await parts.database.read_inline(lambda connection: services.find(connection, services.SERVER, now))
            if shared
            else ()
        )
        # A restarted server replaces the entry of its dead predecessor.
        by_id = {found.instance_id: found for found in (_coordinator(row, parts, now) for row in _by_start(rows))}
        return CoordinatorStatusResponse(coordinators=[by_id[name] for name in sorted(by_id)])

    @get("/workers", operation_id="getWorkers", requires=Requires.READ, responses=errors())
    async def list_workers(self, parts: NamedDependency[AppServices]) -> WorkersListResponse:
        """List the workers with their active runs."""
        now = parts.now()
        found, tasks = await parts.database.read_inline(lambda connection: _read_workers(connection, now))
        # A worker restarted under its name replaces the entry of its dead predecessor.
        rows = {row.name or row.id: row for row in _by_start(found)}
        workers = [_worker(row, [task for task in tasks if task.owner == row.id], parts, now) for row in rows.values()]
        return WorkersListResponse(workers=workers, errors=[])
