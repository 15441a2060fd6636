"""Health, format schema, consistency check and metrics of the server (tags system and monitoring; extensions)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from dagbook.api.metrics_collector import collect
from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.doctor import doctor_report
from dagbook.api.presenters.present import time_text
from dagbook.api.schemas.common import Health
from dagbook.api.schemas.maintenance import DoctorReport
from dagbook.api.schemas.services import MetricPoint, ResourceHistory
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires
from dagbook.identifiers import shorten
from dagbook.maintenance.doctor.doctor import Examination
from dagbook.spec.grammar.document import schema
from dagbook.spec.time.duration import duration_seconds
from dagbook.telemetry.metrics import CONTENT_TYPE
from dagbook.telemetry.resources import Sample

_LIMIT_SECONDS = 2.0
_UNHEALTHY = {503: ResponseSpec(Health, generate_examples=False, description="The database is unavailable")}


class HealthController(Controller):
    path = "/health"

    @get(operation_id="getHealthStatus", requires=Requires.PUBLIC, responses={**errors(), **_UNHEALTHY})
    async def get_health(self, parts: NamedDependency[AppServices]) -> Response[Health]:
        """Check whether the server can reach its database: 503 and ``unhealthy`` when it cannot."""
        healthy = await parts.database.answers_within(_LIMIT_SECONDS)
        body = Health(
            status="healthy" if healthy else "unhealthy",
            version=parts.version,
            uptime=int(parts.uptime_seconds()),
            timestamp=time_text(parts.now(), parts.zone),
        )
        return Response(body, status_code=200 if healthy else 503)


_MEDIA_TYPE = "application/schema+json"


class SchemasController(Controller):
    path = "/schemas/dag"

    @get(operation_id="getDAGSchema", requires=Requires.READ, media_type=_MEDIA_TYPE, responses=errors())
    async def get_schema(
        self,
        parts: NamedDependency[AppServices],  # noqa: ARG002 - its provider declares remoteNode
    ) -> Response[dict[str, Any]]:
        """Return the JSON Schema (2020-12) of a definition, for editors."""
        return Response(schema(), media_type=_MEDIA_TYPE)


class DoctorController(Controller):
    path = "/doctor"

    @get(operation_id="examineDatabase", requires=Requires.UPKEEP, responses=errors())
    async def examine(
        self, parts: NamedDependency[AppServices], integrity: parameters.Integrity = False
    ) -> DoctorReport:
        """Check all invariants of the stored data; with ``integrity`` the database also checks its own files."""
        return doctor_report(await parts.doctor.examine(Examination(damage=integrity)), parts.zone)


_log = logging.getLogger(__name__)
_DEFAULT_SECONDS = 3600.0


def _seconds(text: str) -> float:
    seconds = duration_seconds(text)
    if seconds is None or seconds <= 0:
        _log.warning("duration: %s is not a duration such as 30m or 1h30m; using one hour instead", shorten(text))
        return _DEFAULT_SECONDS
    return seconds


def _series(samples: Sequence[Sample], name: str) -> list[MetricPoint]:
    return [MetricPoint(timestamp=sample.at, value=getattr(sample, name)) for sample in samples]


class MonitoringController(Controller):
    @get(
        "/metrics", operation_id="getMetrics", requires=Requires.METRICS, media_type=MediaType.TEXT, responses=errors()
    )
    async def get_metrics(self, parts: NamedDependency[AppServices]) -> Response[str]:
        """Return the server's metrics in the Prometheus text format."""
        page = parts.metrics_page.write(await collect(parts))
        return Response(page.decode(), media_type=CONTENT_TYPE)

    @get("/services/resources/history", operation_id="getResourceHistory", requires=Requires.READ, responses=errors())
    async def get_resource_history(
        self, parts: NamedDependency[AppServices], duration: parameters.Duration = "1h"
    ) -> ResourceHistory:
        """Return samples of the machine's load up to now; by default of the last hour."""
        seconds = min(_seconds(duration), parts.resources.retention_seconds)
        samples = parts.resources.since(parts.now().timestamp() - seconds)
        return ResourceHistory(**{name: _series(samples, name) for name in ("cpu", "memory", "disk", "load")})
