"""The schema of the DAG format (extension of the contract)."""

from __future__ import annotations

from litestar import Controller, Response
from litestar.di import NamedDependency

from dagbook.api.dependencies import provide_services
from dagbook.api.routes import get, permission
from dagbook.api.services import DagServices
from dagbook.auth.roles import Requires
from dagbook.json_values import Json
from dagbook.spec.grammar import schema

_MEDIA_TYPE = "application/schema+json"


class SchemasController(Controller):
    path = "/schemas/dag"
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @get("", "getDAGSchema", narrowed=True, media_type=_MEDIA_TYPE)
    async def get_schema(
        self,
        services: NamedDependency[DagServices],  # noqa: ARG002 - its provider declares remoteNode
    ) -> Response[dict[str, Json]]:
        """Return the JSON Schema (2020-12) of a definition, for editors."""
        return Response(schema(), media_type=_MEDIA_TYPE)
