"""Which methods a path has: what the framework answers itself names only those of a path's first handler."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import HttpMethod, Response, route
from litestar.handlers import HTTPRouteHandler

from dagbook.api.requests import ApiRequest


def make_options(handlers: Sequence[HTTPRouteHandler]) -> HTTPRouteHandler:
    """Make the handler that tells the methods of these handlers' paths; it has to be registered before them."""

    @route(
        sorted({path for handler in handlers for path in handler.paths}),
        http_method=[HttpMethod.OPTIONS],
        status_code=204,
        include_in_schema=False,
    )
    async def tell_methods(request: ApiRequest) -> Response[None]:
        template = request.scope["path_template"]
        methods = {method for one in request.app.routes if one.path_format == template for method in one.methods}
        return Response(None, headers={"Allow": ", ".join(sorted(methods))}, media_type="text/plain")

    return tell_methods
