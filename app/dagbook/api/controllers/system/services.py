"""Schedulers, coordinators and workers (tag system); api-behaviour ops 11, 47 and 48."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta, tzinfo
from urllib.parse import urlsplit

from litestar import Controller
from litestar.di import NamedDependency
from msgspec.structs import asdict

from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.presenters.fields import time_text
from dagbook.api.routes import get, permission
from dagbook.api.schemas.maintenance import (
    CoordinatorInstance,
    CoordinatorStatusResponse,
    RunningTask,
    SchedulerInstance,
    SchedulerStatusResponse,
    Worker,
    WorkerHealth,
    WorkersListResponse,
)
from dagbook.api.services import SystemServices
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import services as service_rows
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.services import OwnedRunRow, ServiceRow

Services = NamedDependency[SystemServices]

_HEALTHY, _WARNING = timedelta(seconds=5), timedelta(seconds=15)


def _by_start(rows: Sequence[ServiceRow]) -> list[ServiceRow]:
    return sorted(rows, key=lambda row: row.started_at)


def _instance(row: ServiceRow, instance_id: str, zone: tzinfo, now: datetime) -> SchedulerInstance:
    return SchedulerInstance(
        instance_id=instance_id,
        host=row.host,
        status="active" if row.lease_until >= now else "inactive",
        started_at=time_text(row.started_at, zone),
    )


def _worker(
    row: ServiceRow, tasks: Sequence[OwnedRunRow], visible: Collection[str], zone: tzinfo, now: datetime
) -> Worker:
    capacity = row.capacity or 0  # every worker has one
    return Worker(
        id=row.name or row.id,
        labels=row.labels or {},
        total_pollers=capacity,
        busy_pollers=min(len(tasks), capacity),
        running_tasks=[_task(task, zone) for task in tasks if (task.root_name or task.dag_name) in visible],
        last_heartbeat_at=time_text(row.heartbeat_at, zone),
        health_status=health(now - row.heartbeat_at),
    )


def health(silence: timedelta) -> WorkerHealth:
    """Return the health of a worker by the time since its last heartbeat."""
    if silence < _HEALTHY:
        return "healthy"
    return "warning" if silence < _WARNING else "unhealthy"


def _task(row: OwnedRunRow, zone: tzinfo) -> RunningTask:
    return RunningTask(
        dag_run_id=row.run_id,
        dag_name=row.dag_name,
        started_at=time_text(row.opened_at, zone),
        root_dag_run_name=row.root_name or "",
        root_dag_run_id=row.root_run_id or "",
        parent_dag_run_name=row.parent_name or "",
        parent_dag_run_id=row.parent_run_id or "",
    )


class ServicesController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(SystemServices)

    @get("/services/scheduler", "getSchedulerStatus", narrowed=True)
    async def list_schedulers(self, services: Services) -> SchedulerStatusResponse:
        """List the scheduler processes; one with a valid lease is active."""
        now = services.now()
        rows = await services.database.read_inline(
            lambda connection: service_rows.find(connection, service_rows.SCHEDULER, now)
        )
        schedulers = []
        for row in rows:
            instance_id = f"{row.host}-{row.pid}-{int(row.started_at.timestamp())}"
            schedulers.append(_instance(row, instance_id, services.zone, now))
        return SchedulerStatusResponse(schedulers=schedulers)

    @get("/services/coordinator", "getCoordinatorStatus", narrowed=True)
    async def list_coordinators(self, services: Services) -> CoordinatorStatusResponse:
        """List the processes that dispatch runs to workers: all servers of a PostgreSQL database."""
        now = services.now()
        if services.database.dialect != "postgresql":
            return CoordinatorStatusResponse(coordinators=[])
        rows = await services.database.read_inline(
            lambda connection: service_rows.find(connection, service_rows.SERVER, now)
        )
        by_id = {}
        for row in _by_start(rows):
            # The id has the host name, because in containers every server listens on the same address.
            port = urlsplit(row.address).port or 0
            name = f"{row.host}@{port}"
            # A restarted server replaces the entry of its dead predecessor.
            by_id[name] = CoordinatorInstance(port=port, **asdict(_instance(row, name, services.zone, now)))
        return CoordinatorStatusResponse(coordinators=[by_id[name] for name in sorted(by_id)])

    @get("/workers", "getWorkers", narrowed=True)
    async def list_workers(self, services: Services, caller: CurrentCaller) -> WorkersListResponse:
        """List the workers with their active runs; those that the caller does not see only count as busy."""
        now = services.now()

        def read(connection: ReadConnection) -> tuple[Sequence[ServiceRow], Sequence[OwnedRunRow], set[str]]:
            found = service_rows.find(connection, service_rows.WORKER, now)
            owned = service_rows.find_active_runs(connection, [row.id for row in found]) if found else ()
            names = {row.root_name or row.dag_name for row in owned}
            return found, owned, dag_access.find_visible(connection, names, caller.visibility)

        found, tasks, visible = await services.database.read_inline(read)
        # A worker restarted under its name replaces the entry of its dead predecessor.
        rows = {row.name or row.id: row for row in _by_start(found)}
        workers = [
            _worker(row, [task for task in tasks if task.owner == row.id], visible, services.zone, now)
            for row in rows.values()
        ]
        return WorkersListResponse(workers=workers, errors=[])
