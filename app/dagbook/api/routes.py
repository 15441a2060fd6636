"""Decorators of operations: litestar's, with what every operation declares in one place each.

That is its path, its id in the OpenAPI document, for a change its permission and audited action, and the statuses of
its documented errors beside those that every operation has. The permission of a read is that of its controller,
``opt = permission(…)``, unless it declares its own. An operation without an id is not documented.

Operations on a run and on a sub-run are written once: their controller is registered at both paths, see
``for_sub_runs_too``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import litestar
from litestar import Controller, HttpMethod, Litestar, MediaType, Response
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.utils import join_paths

from dagbook.api.dependencies import provide_caller_of_run, provide_run, provide_services, provide_sub_run
from dagbook.api.errors import errors
from dagbook.api.middleware.request_context import AnyRequest
from dagbook.api.requests import ApiRequest
from dagbook.api.services import RunServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.identifiers import API_PATH

DOCUMENT = "/openapi.json"
RUN = "/dag-runs/{name:str}/{dagRunId:str}"
SUB_RUN = f"{RUN}/sub-dag-runs/{{subDAGRunId:str}}"
# The tags of operations, by the first word of their path where it is another one.
_TAGS = {**dict.fromkeys(("health", "services", "workers"), "system"), "metrics": "monitoring"}


def permission(requires: Requires) -> dict[str, Any]:
    """Return the options of a controller whose reads require this, unless they declare another permission."""
    return {"requires": requires}


def get(path: str = "", operation: str = "", *statuses: int, **options: Any) -> HTTPRouteHandler:
    return litestar.get(path, **_options(operation, statuses, options))


def post(
    path: str, operation: str, requires: Requires, audits: Action | None, *statuses: int, **options: Any
) -> HTTPRouteHandler:
    options = {"status_code": 200, "requires": requires, "audits": audits, **options}
    return litestar.post(path, **_options(operation, statuses, options))


def put(
    path: str, operation: str, requires: Requires, audits: Action | None, *statuses: int, **options: Any
) -> HTTPRouteHandler:
    return litestar.put(path, requires=requires, audits=audits, **_options(operation, statuses, options))


def patch(
    path: str, operation: str, requires: Requires, audits: Action, *statuses: int, **options: Any
) -> HTTPRouteHandler:
    return litestar.patch(path, requires=requires, audits=audits, **_options(operation, statuses, options))


def delete(
    path: str | list[str], operation: str, requires: Requires, audits: Action, *statuses: int, **options: Any
) -> HTTPRouteHandler:
    return litestar.delete(path, requires=requires, audits=audits, **_options(operation, statuses, options))


def _options(operation: str, statuses: tuple[int, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return litestar's options; with ``empty=True`` a success has no body, as of seven operations of the contract."""
    responses = {**errors(*statuses), **options.pop("responses", {})}
    if options.pop("empty", False):
        responses[200] = ResponseSpec(None, description="Done")  # litestar would document a JSON null, and send it
        options |= {"status_code": 200, "media_type": MediaType.TEXT}
    if not operation:
        return options | {"include_in_schema": False}
    return options | {"operation_id": operation, "responses": responses}


def for_sub_runs_too(operations: type[Controller]) -> list[type[Controller]]:
    """Return the controllers of operations at the path of a run, and at that of a sub-run.

    ``sub_run`` of an operation is its summary at the latter, and its id has ``SubDAGRun`` there.
    """
    more, path = vars(operations).get("dependencies", {}), vars(operations).get("path", "")
    root: type[Controller] = type(
        operations.__name__,
        (operations,),
        {
            "path": RUN + path,
            "dependencies": {**more, **provide_services(RunServices, run=provide_run, caller=provide_caller_of_run)},
        },
    )
    below: type[Controller] = type(
        f"Sub{operations.__name__}",
        (operations,),
        {
            "path": SUB_RUN + path,
            "dependencies": {
                **more,
                **provide_services(RunServices, run=provide_sub_run, caller=provide_caller_of_run),
            },
        },
    )
    return [root, below]


def _handlers(controller: type[Controller]) -> list[HTTPRouteHandler]:
    values = [value for kind in controller.__mro__ for value in vars(kind).values()]
    return [value for value in values if isinstance(value, HTTPRouteHandler)]


def hide_extra_docs(request: AnyRequest) -> None:
    """Raise NotFoundException for the framework's documentation pages; only the OpenAPI document is served."""
    if not request.url.path.endswith(DOCUMENT):
        raise NotFoundException


def make_options(controllers: Sequence[type[Controller]]) -> HTTPRouteHandler:
    """Make a handler that lists the methods of these controllers' paths; it must be registered before them."""
    # Not from the routes of a Router: litestar copies every handler to make one, which takes a tenth of a start.
    paths = {
        join_paths([vars(controller).get("path", "/"), path])
        for controller in controllers
        for handler in _handlers(controller)
        for path in handler.paths
    }

    @litestar.route(sorted(paths), http_method=[HttpMethod.OPTIONS], status_code=204, include_in_schema=False)
    async def list_methods(request: ApiRequest) -> Response[None]:
        template = request.scope["path_template"]
        methods = {method for each in request.app.routes if each.path_format == template for method in each.methods}
        return Response(None, headers={"Allow": ", ".join(sorted(methods))}, media_type="text/plain")

    return list_methods


def describe_operations(app: Litestar) -> None:
    """Give each operation of the document a tag, and its handler's docstring as summary and description."""
    for route_of_app in app.routes:
        noun = route_of_app.path.partition(f"{API_PATH}/")[2].partition("/")[0]
        for handler in getattr(route_of_app, "route_handlers", ()):
            text = inspect.getdoc(handler.fn) or ""
            if "{subDAGRunId" in route_of_app.path and "sub_run" in handler.opt:
                text = handler.opt["sub_run"]
                handler.operation_id = handler.operation_id.replace("DAGRun", "SubDAGRun", 1)
            summary, _, description = text.replace("``", "`").partition("\n\n")
            handler.summary = " ".join(summary.split()).removesuffix(".")
            handler.description = description or None
            handler.tags = [_TAGS.get(noun, noun)] if noun else None
