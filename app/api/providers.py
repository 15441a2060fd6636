"""What handlers are given, made from parameters that several operations share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from litestar.di import NamedDependency, Provide

from app.api import params
from app.api.controllers.log_search import provide_log_wish
from app.api.deps import PageNumber, Parts, SubRunKey
from app.api.pages import PageRequest
from app.api.requests import ApiRequest
from app.auth.caller import Caller
from app.db.repositories.runs import RunFilter
from app.errors import BadRequestError
from app.names import shorten

_PER_PAGE, _MOST_PER_PAGE = 50, 1000
_LATEST_SECONDS = 253_402_300_799  # the end of the year 9999


def make_providers(parts: Parts) -> dict[str, Provide]:
    """Make the dependencies of all handlers."""
    return {
        "parts": Provide(_parts_provider(parts), sync_to_thread=False),
        "caller": Provide(provide_caller, sync_to_thread=False),
        "page_request": Provide(provide_page_request, sync_to_thread=False),
        "page_number": Provide(provide_page_number, sync_to_thread=False),
        "sub_run_key": Provide(provide_sub_run_key, sync_to_thread=False),
        "log_wish": Provide(provide_log_wish, sync_to_thread=False),
        "run_filter": Provide(provide_run_filter, sync_to_thread=False),
    }


def _parts_provider(parts: Parts) -> Callable[..., Parts]:
    def provide_parts(request: ApiRequest, remote_node: params.RemoteNode = "local") -> Parts:
        _refuse_repeated(request)
        if remote_node not in ("", "local"):
            raise BadRequestError(f"remoteNode: there is no node named {shorten(remote_node)}")
        return parts

    return provide_parts


def _refuse_repeated(request: ApiRequest) -> None:
    """No parameter takes several values, and the framework would quietly take the last one."""
    names = [name for name, _ in request.query_params.multi_items()]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BadRequestError(f"{repeated[0]}: is given more than once")


def provide_caller(request: ApiRequest) -> Caller:
    """Return who calls, as the guard has found out."""
    caller: Caller = request.user
    return caller


def provide_page_request(
    tail: params.Tail = None,
    head: params.Head = None,
    offset: params.Offset = None,
    limit: params.Limit = None,
) -> PageRequest:
    """Gather what says which lines of a log are wanted."""
    return PageRequest(tail=tail, head=head, offset=offset, limit=limit)


def provide_page_number(page: params.Page = 1, per_page: params.PerPage = 50) -> PageNumber:
    """Read which page is wanted, leniently (api-behaviour 1.7)."""
    if per_page < 0:
        raise BadRequestError("perPage: must not be negative")
    return PageNumber(max(page, 1), min(per_page or _PER_PAGE, _MOST_PER_PAGE))


# The framework's description of the API knows a path's parameters inside a dependency by the path's own names only.
def provide_sub_run_key(
    name: params.DagName,
    dagRunId: params.DagRunId,  # noqa: N803
    subDAGRunId: params.SubRunId,  # noqa: N803
) -> SubRunKey:
    """Gather what names a sub-run."""
    return SubRunKey(name, dagRunId, subDAGRunId)


def provide_run_filter(
    parts: NamedDependency[Parts],
    status: params.Status = None,
    from_date: params.FromDate = None,
    to_date: params.ToDate = None,
    dag_run_id: params.RunIdPart = None,
) -> RunFilter:
    """Gather what a list of runs is narrowed to; without dates, to those created since 00:00 UTC today."""
    if from_date is None and to_date is None:
        begin: datetime | None = parts.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    else:
        begin = _instant("fromDate", from_date)
    return RunFilter(status=status, since=begin, before=_instant("toDate", to_date), run_id_part=dag_run_id)


def _instant(field: str, seconds: int | None) -> datetime | None:
    if seconds is None:
        return None
    if not 0 <= seconds <= _LATEST_SECONDS:
        raise BadRequestError(f"{field}: {seconds} is no Unix time in seconds")
    return datetime.fromtimestamp(seconds, UTC)
