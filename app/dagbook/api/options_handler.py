"""OPTIONS handler for all paths: the framework's own one lists only the methods of a path's first handler."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Controller, HttpMethod, Response, Router, route
from litestar.handlers import HTTPRouteHandler

from dagbook.api.requests import ApiRequest


def make_options(controllers: Sequence[type[Controller]]) -> HTTPRouteHandler:
    """Make a handler that lists the methods of these controllers' paths; it must be registered before them."""

    @route(
        sorted({each.path for each in Router("/", route_handlers=controllers).routes}),
        http_method=[HttpMethod.OPTIONS],
        status_code=204,
        include_in_schema=False,
    )
    async def list_methods(request: ApiRequest) -> Response[None]:
        template = request.scope["path_template"]
        methods = {method for each in request.app.routes if each.path_format == template for method in each.methods}
        return Response(None, headers={"Allow": ", ".join(sorted(methods))}, media_type="text/plain")

    return list_methods
