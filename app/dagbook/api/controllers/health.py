"""Health of the server (tag system)."""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from dagbook.api.openapi_responses import errors
from dagbook.api.presenters.present import time_text
from dagbook.api.schemas.common import Health
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires

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
