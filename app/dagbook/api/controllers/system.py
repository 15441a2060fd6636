"""Health, format schema, consistency check and metrics of the server (tags system and monitoring; extensions)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET

from dagbook.api.errors import errors
from dagbook.api.metrics_collector import MetricsServices, collect
from dagbook.api.params import parameters
from dagbook.api.presenters.doctor import doctor_report
from dagbook.api.presenters.present import time_text
from dagbook.api.providers import provide_services
from dagbook.api.schemas.common import Health, or_unset
from dagbook.api.schemas.maintenance import DoctorReport, MetricPoint, ResourceHistory
from dagbook.api.services import NoServices
from dagbook.auth.roles import Requires
from dagbook.db.database import Database
from dagbook.identifiers import shorten
from dagbook.maintenance.audit.audit_copy import AuditCopy
from dagbook.maintenance.doctor import Doctor, Examination
from dagbook.runs.recovery.hold import Holding
from dagbook.spec.grammar import schema
from dagbook.spec.time.duration import duration_seconds
from dagbook.telemetry.metrics import CONTENT_TYPE, MetricsPage
from dagbook.telemetry.resources import ResourceSampler

_LIMIT_SECONDS = 2.0
_UNHEALTHY = {
    503: ResponseSpec(Health, generate_examples=False, description="The database is unavailable, or cannot be written")
}


class HealthServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the health of the server."""

    database: Database
    zone: ZoneInfo
    now: Callable[[], datetime]
    version: str
    started: float
    audit_copy: AuditCopy | None
    holding: Holding
    resources: ResourceSampler


class HealthController(Controller):
    path = "/health"
    dependencies = provide_services(HealthServices)

    @get(operation_id="getHealthStatus", requires=Requires.PUBLIC, responses={**errors(), **_UNHEALTHY})
    async def get_health(self, services: NamedDependency[HealthServices]) -> Response[Health]:
        """Check whether the server can read its database and write: 503 and ``unhealthy`` when it cannot.

        ``problem`` says why: the disk is full, or the database is read-only. No request writes to find that out.
        ``auditCopy`` is ``failing`` while the audit cannot be copied, and ``runs`` is ``held`` while nothing starts,
        because the database was restored from a backup (extensions).
        """
        answers = await services.database.answers_within(_LIMIT_SECONDS)
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
            problem=or_unset(problem),
        )
        return Response(body, status_code=503 if problem else 200)


_MEDIA_TYPE = "application/schema+json"


class SchemasController(Controller):
    path = "/schemas/dag"

    @get(
        operation_id="getDAGSchema",
        requires=Requires.READ,
        narrowed=True,
        media_type=_MEDIA_TYPE,
        responses=errors(),
    )
    async def get_schema(
        self,
        services: NamedDependency[NoServices],  # noqa: ARG002 - its provider declares remoteNode
    ) -> Response[dict[str, Any]]:
        """Return the JSON Schema (2020-12) of a definition, for editors."""
        return Response(schema(), media_type=_MEDIA_TYPE)


class DoctorServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the consistency check."""

    doctor: Doctor
    zone: ZoneInfo


class DoctorController(Controller):
    path = "/doctor"
    dependencies = provide_services(DoctorServices)

    @get(operation_id="examineDatabase", requires=Requires.UPKEEP, responses=errors())
    async def examine(
        self, services: NamedDependency[DoctorServices], integrity: parameters.Integrity = False
    ) -> DoctorReport:
        """Check all invariants of the stored data; with ``integrity`` the database also checks its own files."""
        return doctor_report(await services.doctor.examine(Examination(damage=integrity)), services.zone)


_log = logging.getLogger(__name__)
_DEFAULT_SECONDS = 3600.0


def _seconds(text: str) -> float:
    seconds = duration_seconds(text)
    if seconds is None or seconds <= 0:
        _log.warning("duration: %s is not a duration such as 30m or 1h30m; using one hour instead", shorten(text))
        return _DEFAULT_SECONDS
    return seconds


class MonitoringServices(MetricsServices, frozen=True, kw_only=True):
    """Services of metrics and load."""

    metrics_page: MetricsPage
    resources: ResourceSampler


class MonitoringController(Controller):
    dependencies = provide_services(MonitoringServices)

    @get(
        "/metrics", operation_id="getMetrics", requires=Requires.METRICS, media_type=MediaType.TEXT, responses=errors()
    )
    async def get_metrics(self, services: NamedDependency[MonitoringServices]) -> Response[str]:
        """Return the server's metrics in the Prometheus text format."""
        page = services.metrics_page.write(await collect(services))
        return Response(page.decode(), media_type=CONTENT_TYPE)

    @get(
        "/services/resources/history",
        operation_id="getResourceHistory",
        requires=Requires.READ,
        narrowed=True,
        responses=errors(),
    )
    async def get_resource_history(
        self, services: NamedDependency[MonitoringServices], duration: parameters.Duration = "1h"
    ) -> ResourceHistory:
        """Return samples of the machine's load up to now; by default of the last hour."""
        seconds = min(_seconds(duration), services.resources.retention_seconds)
        samples = services.resources.since(services.now().timestamp() - seconds)

        def series(name: str) -> list[MetricPoint]:
            return [MetricPoint(timestamp=sample.at, value=getattr(sample, name)) for sample in samples]

        return ResourceHistory(cpu=series("cpu"), memory=series("memory"), disk=series("disk"), load=series("load"))
