"""JSON Schema of definitions, an extension of the contract."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from dagbook.api.openapi_responses import errors
from dagbook.api.services import AppServices
from dagbook.auth.roles import Requires
from dagbook.spec.grammar.document import schema

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
