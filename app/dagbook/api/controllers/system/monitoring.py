"""Health, metrics and load of the server (tags system and monitoring; extensions)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from litestar import Controller, MediaType, Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET

from dagbook.api.dependencies import provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.routes import get, permission
from dagbook.api.schemas.common import Health
from dagbook.api.schemas.maintenance import MetricPoint, ResourceHistory, ServiceFigures
from dagbook.api.services import SystemServices
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import services as service_rows
from dagbook.db.repositories.alerts import deliveries, events
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.triggers import events as trigger_events
from dagbook.db.storage import read_facts
from dagbook.engine.status import RunStatus
from dagbook.identifiers import shorten
from dagbook.spec.time.duration import duration_seconds
from dagbook.telemetry.metrics import CONTENT_TYPE, MetricValues

Services = NamedDependency[SystemServices]
T = TypeVar("T")
_log = logging.getLogger(__name__)
_HOUR = timedelta(hours=1)
_HEALTH_SECONDS, _METRICS_SECONDS = 2.0, 5.0
_DEFAULT_SECONDS = 3600.0  # of load
_UNHEALTHY = {
    503: ResponseSpec(Health, generate_examples=False, description="The database is unavailable, or cannot be written")
}


class HealthController(Controller):
    path = "/health"
    opt = permission(Requires.PUBLIC)
    dependencies = provide_services(SystemServices)

    @get("", "getHealthStatus", responses=_UNHEALTHY)
    async def get_health(self, services: Services) -> Response[Health]:
        """Check whether the server can read its database and write: 503 and ``unhealthy`` when it cannot.

        ``problem`` says why: the disk is full, or the database is read-only. No request writes to find that out.
        ``auditCopy`` is ``failing`` while the audit cannot be copied, and ``runs`` is ``held`` while nothing starts,
        because the database was restored from a backup. ``alerts`` is ``failing`` while a channel does not accept
        messages (extensions).
        """
        answers = await services.database.answers_within(_HEALTH_SECONDS)
        failing = await _try(services.failing_channels.get(), _in(_HEALTH_SECONDS)) if answers else None
        problem = services.database.write_problem if answers else "the database does not answer"
        if not problem and services.resources.is_disk_full:
            problem = "the disk of the server's home is full"
        body = Health(
            status="unhealthy" if problem else "healthy",
            version=services.version,
            uptime=int(time.monotonic() - services.started),
            timestamp=time_text(services.now(), services.zone),
            audit_copy="failing" if services.audit_copy and services.audit_copy.problem else UNSET,
            runs="held" if services.holding.row else UNSET,
            alerts="failing" if failing else UNSET,
            problem=or_unset(problem),
        )
        return Response(body, status_code=503 if problem else 200)


class MonitoringController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(SystemServices)

    @get("/metrics", "getMetrics", requires=Requires.METRICS, media_type=MediaType.TEXT)
    async def get_metrics(self, services: Services) -> Response[str]:
        """Return the server's metrics in the Prometheus text format."""
        page = services.metrics_page.write(await _collect(services))
        return Response(page.decode(), media_type=CONTENT_TYPE)

    @get("/services/figures", "getServiceFigures")
    async def get_service_figures(self, services: Services) -> ServiceFigures:
        """Return the runs of now and of the last hour, the number of DAGs, and size and schema of the database."""
        since = services.now() - _HOUR

        def read(connection: ReadConnection) -> ServiceFigures:
            active, recent = run_history.count_active(connection), run_history.count_since(connection, since)
            facts = read_facts(connection)
            oldest = run_history.find_oldest_queued(connection)
            return ServiceFigures(
                running=active.get(RunStatus.RUNNING, 0),
                queued=active.get(RunStatus.QUEUED, 0),
                oldest_queued_at=or_unset(time_text(oldest, services.zone)),
                runs_of_last_hour=sum(recent.values()),
                failed_of_last_hour=recent.get(RunStatus.FAILED, 0),
                dags=run_history.count_dags(connection),
                database=services.database.dialect,
                database_bytes=facts.size,
                schema_revision=facts.revision,
            )

        return await services.database.read(read)

    @get("/services/resources/history", "getResourceHistory", narrowed=True)
    async def get_resource_history(self, services: Services, duration: parameters.Duration = "1h") -> ResourceHistory:
        """Return samples of the machine's load up to now; by default of the last hour."""
        seconds = min(_seconds(duration), services.resources.retention_seconds)
        samples = services.resources.since(services.now().timestamp() - seconds)

        def series(name: str) -> list[MetricPoint]:
            return [MetricPoint(timestamp=sample.at, value=getattr(sample, name)) for sample in samples]

        return ResourceHistory(cpu=series("cpu"), memory=series("memory"), disk=series("disk"), load=series("load"))


async def _collect(services: SystemServices) -> MetricValues:
    """Read all metric values; one that fails or is not read within 5 s in all is None, and the others are kept.

    The cost does not grow with the number of runs.
    """
    deadline = _in(_METRICS_SECONDS)
    active = await _try(services.database.read_inline(run_history.count_active), deadline)
    finished = await _try(services.run_totals.read(), deadline)
    runs: dict[str, int] | None = None
    if active is not None and finished is not None:
        counted = {status: count for status, count in finished.items() if RunStatus(status).is_final} | active
        runs = {RunStatus(status).label: counted[status] for status in sorted(counted)}

    def count_schedulers(connection: ReadConnection) -> int:
        now = services.now()
        return sum(row.lease_until >= now for row in service_rows.find(connection, service_rows.SCHEDULER, now))

    def read_oldest_due(connection: ReadConnection) -> float:
        now = events.read_time(connection, services.now())
        return (now - (deliveries.find_oldest_due(connection, now) or now)).total_seconds()

    def read_oldest_event(connection: ReadConnection) -> float:
        now = services.now()
        return max((now - (trigger_events.find_oldest_waiting(connection) or now)).total_seconds(), 0.0)

    return MetricValues(
        version=services.version,
        uptime_seconds=time.monotonic() - services.started,
        running=None if active is None else active.get(RunStatus.RUNNING, 0),
        queued=None if active is None else active.get(RunStatus.QUEUED, 0),
        runs=runs,
        dags=await _try(services.database.read_inline(run_history.count_dags), deadline),
        removed_runs=services.retention.total.runs,
        removed_log_bytes=services.retention.total.log_bytes,
        audit_copy_works=None if services.audit_copy is None else not services.audit_copy.problem,
        oldest_alert_due_seconds=await _try(services.database.read_inline(read_oldest_due), deadline),
        oldest_event_seconds=await _try(services.database.read_inline(read_oldest_event), deadline),
        paused=await _try(services.pausing.is_paused(), deadline),
        schedulers=await _try(services.database.read_inline(count_schedulers), deadline),
    )


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def _try(count: Awaitable[T], deadline: float) -> T | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await count
    except (DatabaseUnavailable, TimeoutError) as error:
        _log.warning("a value is left out: %s", error or "reading it took too long")
        return None


def _seconds(text: str) -> float:
    seconds = duration_seconds(text)
    if seconds is None or seconds <= 0:
        _log.warning("duration: %s is not a duration such as 30m or 1h30m; using one hour instead", shorten(text))
        return _DEFAULT_SECONDS
    return seconds
