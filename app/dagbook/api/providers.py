"""Dependency providers of the handlers, for parameters that several operations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation
from litestar.routes import HTTPRoute

from dagbook.api.params import parameters, run_filters
from dagbook.api.params.audit_filter import provide_audit_filter
from dagbook.api.params.log_paging import PageRequest
from dagbook.api.requests import ApiRequest
from dagbook.api.services import AppServices, DagOrder, NoServices, PageNumber, SubRunKey
from dagbook.auth.audit_context import Caller
from dagbook.db.repositories.dags import DagFilter
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

_PER_PAGE, _MAX_PER_PAGE = 50, 1000
_LAST_PAGE = 10**12  # the offset of this page still fits into the databases' integers


class ServicesProvider(Provide):
    """Provider of the services that a controller declares, as an instance of ``struct``."""

    __slots__ = ("struct",)

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        def provide(request: ApiRequest, remote_node: parameters.RemoteNode = "local") -> object:
            _refuse_repeated(request)
            if remote_node not in ("", "local"):
                raise BadRequestError(f"remoteNode: this is not forwarded; call {shorten(remote_node)} directly")
            return request.app.state.services[struct]

        super().__init__(provide, sync_to_thread=False)
        self.struct = struct


def provide_services(struct: type[msgspec.Struct], **more: Callable[..., Any]) -> dict[str, Provide]:
    """Return the dependencies of a controller: ``services``, which is this struct, and what these functions provide.

    All services of a handler come in one dependency: litestar resolves several independent dependencies in a task
    each, at ten times the cost.
    """
    others = {name: Provide(function, sync_to_thread=False) for name, function in more.items()}
    return {"services": ServicesProvider(struct), **others}


def bind_services(app: Litestar, services: AppServices) -> None:
    """Make what the handlers declare of the services, once; raises AttributeError for a service that there is not."""
    handlers = [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]
    providers = [handler.resolve_dependencies()["services"] for handler in handlers]
    structs = {provider.struct for provider in providers if isinstance(provider, ServicesProvider)}
    app.state.services = {
        struct: struct(**{name: getattr(services, name) for name in struct.__struct_fields__}) for struct in structs
    }


def make_providers() -> dict[str, Provide]:
    """Return the dependencies of all handlers by parameter name; controllers replace ``services`` by their own."""
    return provide_services(
        NoServices,
        caller=provide_caller,
        page_request=provide_page_request,
        dag_filter=provide_dag_filter,
        dag_order=provide_dag_order,
        page_number=provide_page_number,
        step_name=provide_step_name,
        sub_run_key=provide_sub_run_key,
        run_filter=run_filters.provide_run_filter,
        start_filter=run_filters.provide_start_filter,
        run_page=run_filters.provide_run_page,
        run_search=run_filters.provide_run_search,
        audit_filter=provide_audit_filter,
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
    caller: Caller = request.user
    return caller


def provide_page_request(
    tail: parameters.Tail = None,
    head: parameters.Head = None,
    offset: parameters.Offset = None,
    limit: parameters.Limit = None,
) -> PageRequest:
    return PageRequest(tail=tail, head=head, offset=offset, limit=limit)


def provide_dag_filter(
    caller: NamedDependency[Caller], name: parameters.Text = None, tag: parameters.Tag = None
) -> DagFilter:
    return DagFilter(name_part=(name or "").casefold(), tag=(tag or "").strip().casefold(), sight=caller.sight)


def provide_step_name(written: parameters.StepName) -> str:
    """Return the name of a step, trimmed as in a definition.

    Browsers resolve ``..`` as the parent directory, escaped or not, so clients may put a blank before it.
    """
    return written.strip()


def provide_dag_order(sort: parameters.Sort = "name", order: parameters.Order = "asc") -> DagOrder:
    return DagOrder(sort, order)


def provide_page_number(page: parameters.Page = 1, per_page: parameters.PerPage = 50) -> PageNumber:
    """Return the requested page, read leniently (api-behaviour 1.7); raises BadRequestError for a negative size."""
    if per_page < 0:
        raise BadRequestError("perPage: must not be negative")
    return PageNumber(min(max(page, 1), _LAST_PAGE), min(per_page or _PER_PAGE, _MAX_PER_PAGE))


# In a dependency the OpenAPI document recognizes path parameters only by the names in the path.
def provide_sub_run_key(
    name: parameters.DagName,
    dagRunId: parameters.DagRunId,  # noqa: N803
    subDAGRunId: parameters.SubRunId,  # noqa: N803
) -> SubRunKey:
    return SubRunKey(name, dagRunId, subDAGRunId)
