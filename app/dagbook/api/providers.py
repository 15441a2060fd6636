"""What handlers are given, made from parameters that several operations share."""

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

_PER_PAGE, _MOST_PER_PAGE = 50, 1000
_LAST_PAGE = 10**12  # what comes before it can still be counted by a database


def make_providers(parts: AppServices) -> dict[str, Provide]:
    """Make the dependencies of all handlers."""
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
        "run_marks": Provide(run_filters.provide_start_filters, sync_to_thread=False),
        "run_ends": Provide(run_filters.provide_outcome_filters, sync_to_thread=False),
        "run_page": Provide(run_filters.provide_run_page, sync_to_thread=False),
        "run_search": Provide(run_filters.provide_run_search, sync_to_thread=False),
        "audit_filter": Provide(provide_audit_filter, sync_to_thread=False),
        "log_span": Provide(provide_output_range, sync_to_thread=False),
        "log_wish": Provide(provide_log_query, sync_to_thread=False),
    }


def _parts_provider(parts: AppServices) -> Callable[..., AppServices]:
    def provide_parts(request: ApiRequest, remote_node: parameters.RemoteNode = "local") -> AppServices:
        _refuse_repeated(request)
        if remote_node not in ("", "local"):
            raise BadRequestError(f"remoteNode: this is not handed on; ask {shorten(remote_node)} itself")
        return parts

    return provide_parts


def _refuse_repeated(request: ApiRequest) -> None:
    """Hardly a parameter takes several values, and the framework would quietly take the last one."""
    if not request.scope["query_string"]:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    once = set(names).difference(request.route_handler.opt.get("repeated", ()))
    if repeated := sorted(name for name in once if names.count(name) > 1):
        raise BadRequestError(f"{repeated[0]}: is given more than once")


def provide_caller(request: ApiRequest, parts: NamedDependency[AppServices]) -> Caller:  # noqa: ARG001 - see below
    """Return who calls, as the guard has found out.

    It comes after ``parts``: those that do not wait for each other get a task each, at ten times the cost.
    """
    caller: Caller = request.user
    return caller


def provide_page_request(
    tail: parameters.Tail = None,
    head: parameters.Head = None,
    offset: parameters.Offset = None,
    limit: parameters.Limit = None,
) -> PageRequest:
    """Gather what says which lines of a log are wanted."""
    return PageRequest(tail=tail, head=head, offset=offset, limit=limit)


def provide_dag_filter(name: parameters.Text = None, tag: parameters.Tag = None) -> DagFilter:
    """Gather what a list of DAGs is narrowed to."""
    return DagFilter(name_part=(name or "").casefold(), tag=(tag or "").strip().casefold())


def provide_step_name(written: parameters.StepName) -> str:
    """Return the name of a step, trimmed as in a definition.

    Browsers take ``..`` for the way up, escaped or not; with a blank before it they leave it alone.
    """
    return written.strip()


def provide_dag_order(sort: parameters.Sort = "name", order: parameters.Order = "asc") -> DagOrder:
    """Gather how a list of DAGs is sorted."""
    return DagOrder(sort, order)


def provide_page_number(page: parameters.Page = 1, per_page: parameters.PerPage = 50) -> PageNumber:
    """Read which page is wanted, leniently (api-behaviour 1.7)."""
    if per_page < 0:
        raise BadRequestError("perPage: must not be negative")
    return PageNumber(min(max(page, 1), _LAST_PAGE), min(per_page or _PER_PAGE, _MOST_PER_PAGE))


# The framework's description of the API knows a path's parameters inside a dependency by the path's own names only.
def provide_sub_run_key(
    name: parameters.DagName,
    dagRunId: parameters.DagRunId,  # noqa: N803
    subDAGRunId: parameters.SubRunId,  # noqa: N803
) -> SubRunKey:
    """Gather what names a sub-run."""
    return SubRunKey(name, dagRunId, subDAGRunId)
