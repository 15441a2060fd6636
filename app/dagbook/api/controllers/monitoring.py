"""Metrics, and the load of the server's machine (tags monitoring and system)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency

from dagbook.api.metrics_collector import collect
from dagbook.api.openapi_responses import errors
from dagbook.api.params import parameters
from dagbook.api.schemas.services import MetricPoint, ResourceHistory
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires
from dagbook.identifiers import shorten
from dagbook.spec.time.duration import duration_seconds
from dagbook.telemetry.metrics import CONTENT_TYPE
from dagbook.telemetry.resources import Sample

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
