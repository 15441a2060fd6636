"""Dependencies of the handlers: services, caller, and parameters that several operations share."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from litestar import Litestar
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation
from litestar.routes import HTTPRoute

from dagbook.api.params import audit_filter, lists, parameters, run_filters
from dagbook.api.params.lists import PageNumber
from dagbook.api.requests import ApiRequest
from dagbook.api.services import AccountServices, AppServices
from dagbook.auth.audit_context import Caller
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten
from dagbook.runs.queries import RunRef

CurrentCaller = NamedDependency[Caller]
RequestedPage = NamedDependency[PageNumber]
RequestedRun = NamedDependency[RunRef]


class ServicesProvider(Provide):
    """Provider of the services of a package of controllers, an instance of ``kind``."""

    __slots__ = ("kind",)

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        def provide(request: ApiRequest, remote_node: parameters.RemoteNode = "local") -> object:
            _refuse_repeated(request)
            if remote_node not in ("", "local"):
                raise BadRequestError(f"remoteNode: this is not forwarded; call {shorten(remote_node)} directly")
            return request.app.state.services[kind]

        super().__init__(provide, sync_to_thread=False)
        self.kind = kind


def provide_services(kind: type[msgspec.Struct], **more: Callable[..., object]) -> dict[str, Provide]:
    """Return the dependencies of a controller: ``services`` of this kind, and what these functions provide.

    All services of a handler come in one dependency: litestar resolves several independent dependencies in a task
    each, at ten times the cost.
    """
    return {"services": ServicesProvider(kind), **provide(**more)}


def provide(**functions: Callable[..., object]) -> dict[str, Provide]:
    """Return the dependencies that these functions provide."""
    return {name: Provide(function, sync_to_thread=False) for name, function in functions.items()}


def bind_services(app: Litestar, services: AppServices) -> None:
    """Give the handlers their services; raises KeyError for a kind that there is not."""
    known: dict[type[msgspec.Struct], msgspec.Struct] = {
        type(each): each for each in (getattr(services, name) for name in services.__struct_fields__)
    }
    handlers = [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]
    providers = [handler.resolve_dependencies().get("services") for handler in handlers]
    kinds = {provider.kind for provider in providers if isinstance(provider, ServicesProvider)}
    app.state.services = {kind: known[kind] for kind in kinds}


def make_providers() -> dict[str, Provide]:
    """Return the dependencies of all handlers by parameter name; controllers have ``services`` of their own."""
    return provide_services(
        AccountServices,
        caller=provide_caller,
        dag_filter=lists.provide_dag_filter,
        dag_order=lists.provide_dag_order,
        page_number=lists.provide_page_number,
        run_filter=run_filters.provide_run_filter,
        start_filter=run_filters.provide_start_filter,
        run_page=run_filters.provide_run_page,
        run_search=run_filters.provide_run_search,
        audit_filter=audit_filter.provide_audit_filter,
    )


def _refuse_repeated(request: ApiRequest) -> None:
    """Raise BadRequestError for a repeated parameter: few take several values, and litestar would use the last one."""
    if not request.scope["query_string"]:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    once = set(names).difference(request.route_handler.opt.get("repeated", ()))
    if repeated := sorted(name for name in once if names.count(name) > 1):
        raise BadRequestError(f"{repeated[0]}: is given more than once")


def provide_caller(
    request: ApiRequest,
    services: NamedDependency[SkipValidation[object]],  # noqa: ARG001 - see below
) -> Caller:
    """Return the caller that the guard identified.

    It depends on ``services`` only for the order, so that the two are not resolved in a task each.
    """
    return request.user


# In a dependency the OpenAPI document recognizes path parameters only by the names in the path.
def provide_run(
    name: parameters.DagName,
    dagRunId: parameters.DagRunId,  # noqa: N803
    services: NamedDependency[SkipValidation[object]],  # noqa: ARG001 - for the order, as that of the caller
) -> RunRef:
    return RunRef(name, dagRunId)


def provide_sub_run(
    name: parameters.DagName,
    dagRunId: parameters.DagRunId,  # noqa: N803
    subDAGRunId: parameters.SubRunId,  # noqa: N803
    services: NamedDependency[SkipValidation[object]],  # noqa: ARG001
) -> RunRef:
    return RunRef(name, dagRunId, subDAGRunId)


def provide_caller_of_run(
    request: ApiRequest,
    run: NamedDependency[SkipValidation[object]],  # noqa: ARG001 - for the order, where both are asked for
) -> Caller:
    """Return the caller that the guard identified."""
    return request.user
