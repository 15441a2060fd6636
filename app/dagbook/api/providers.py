"""Dependency providers of the handlers, for parameters that several operations share."""

from __future__ import annotations

from collections.abc import Callable

from litestar.di import NamedDependency, Provide

from dagbook.api.controllers.log_search import provide_log_query
from dagbook.api.controllers.run_output import provide_output_range
from dagbook.api.params import parameters, run_filters
from dagbook.api.params.audit_filter import provide_audit_filter
from dagbook.api.params.log_paging import PageRequest
from dagbook.api.requests import ApiRequest
from dagbook.api.services import AppServices, DagOrder, PageNumber, SubRunKey
from dagbook.auth.caller import Caller
from dagbook.db.repositories.dags import DagFilter
from dagbook.errors import BadRequestError
from dagbook.identifiers import shorten

_PER_PAGE, _MAX_PER_PAGE = 50, 1000
_LAST_PAGE = 10**12  # the offset of this page still fits into the databases' integers


def make_providers(parts: AppServices) -> dict[str, Provide]:
    """Return the dependencies of all handlers by parameter name."""
    return {
        "parts": Provide(_parts_provider(parts), sync_to_thread=False),
        "caller": Provide(provide_caller, sync_to_thread=False),
        "page_request": Provide(provide_page_request, sync_to_thread=False),
        "dag_filter": Provide(provide_dag_filter, sync_to_thread=False),
        "dag_order": Provide(provide_dag_order, sync_to_thread=False),
        "page_number": Provide(provide_page_number, sync_to_thread=False),
        "step_name": Provide(provide_step_name, sync_to_thread=False),
        "sub_run_key": Provide(provide_sub_run_key, sync_to_thread=False),
        "run_filter": Provide(run_filters.provide_run_filter, sync_to_thread=False),
        "start_filters": Provide(run_filters.provide_start_filters, sync_to_thread=False),
        "outcome_filters": Provide(run_filters.provide_outcome_filters, sync_to_thread=False),
        "run_page": Provide(run_filters.provide_run_page, sync_to_thread=False),
        "run_search": Provide(run_filters.provide_run_search, sync_to_thread=False),
        "audit_filter": Provide(provide_audit_filter, sync_to_thread=False),
        "output_range": Provide(provide_output_range, sync_to_thread=False),
        "log_query": Provide(provide_log_query, sync_to_thread=False),
    }


def _parts_provider(parts: AppServices) -> Callable[..., AppServices]:
    def provide_parts(request: ApiRequest, remote_node: parameters.RemoteNode = "local") -> AppServices:
        _refuse_repeated(request)
        if remote_node not in ("", "local"):
            raise BadRequestError(f"remoteNode: this is not forwarded; call {shorten(remote_node)} directly")
        return parts

    return provide_parts


def _refuse_repeated(request: ApiRequest) -> None:
    """Raise BadRequestError for a repeated parameter: few take several values, and litestar would use the last one."""
    if not request.scope["query_string"]:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    once = set(names).difference(request.route_handler.opt.get("repeated", ()))
    if repeated := sorted(name for name in once if names.count(name) > 1):
        raise BadRequestError(f"{repeated[0]}: is given more than once")


def provide_caller(request: ApiRequest, parts: NamedDependency[AppServices]) -> Caller:  # noqa: ARG001 - see below
    """Return the caller that the guard identified.

    It depends on ``parts`` only for the order: litestar resolves independent dependencies in a task each, at ten
    times the cost.
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


def provide_dag_filter(name: parameters.Text = None, tag: parameters.Tag = None) -> DagFilter:
    return DagFilter(name_part=(name or "").casefold(), tag=(tag or "").strip().casefold())


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
