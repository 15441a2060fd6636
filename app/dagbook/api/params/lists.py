"""Pages of lists, and filter and order of the list of DAGs."""

from __future__ import annotations

import msgspec
from litestar.di import NamedDependency

from dagbook.api.params import parameters
from dagbook.api.schemas.common import Pagination
from dagbook.auth.audit_context import Caller
from dagbook.db.repositories.dags import DagFilter
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError

_PER_PAGE, _MAX_PER_PAGE = 50, 1000
_STATUSES = frozenset(map(int, RunStatus))
_LAST_PAGE = 10**12  # its offset still fits into the databases' integers


class PageNumber(msgspec.Struct, frozen=True):
    """Page number, from 1, and rows per page."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """The number of rows before the page."""
        return (self.number - 1) * self.size

    def paging(self, total: int) -> Pagination:
        """Return the paging information (api-behaviour 1.7); there is always at least one page."""
        pages = max(-(-total // self.size), 1)
        return Pagination(
            total_records=total,
            current_page=self.number,
            total_pages=pages,
            next_page=min(self.number + 1, pages),
            prev_page=max(self.number - 1, 1),
        )


class DagOrder(msgspec.Struct, frozen=True):
    """Sort order of a list of DAGs."""

    by: str
    direction: str


def provide_page_number(page: parameters.Page = 1, per_page: parameters.PerPage = 50) -> PageNumber:
    """Return the requested page, read leniently (api-behaviour 1.7); raises BadRequestError for a negative size."""
    if per_page < 0:
        raise BadRequestError("perPage: must not be negative")
    return PageNumber(min(max(page, 1), _LAST_PAGE), min(per_page or _PER_PAGE, _MAX_PER_PAGE))


def provide_dag_order(sort: parameters.Sort = "name", order: parameters.Order = "asc") -> DagOrder:
    return DagOrder(sort, order)


def provide_dag_filter(
    caller: NamedDependency[Caller],
    name: parameters.Text = None,
    tag: parameters.Tag = None,
    status: parameters.LatestStatus = None,
    waiting_for_approval: parameters.LatestWaits = None,
) -> DagFilter:
    """Return the filter of a list of DAGs; raises BadRequestError for a status that does not exist."""
    if status is not None and status not in _STATUSES:
        raise BadRequestError(f"status: must be a number from 0 to {max(_STATUSES)}")
    if waiting_for_approval is not None and status is None:
        status = RunStatus.RUNNING  # only running runs wait
    return DagFilter(
        name_part=(name or "").casefold(),
        tag=(tag or "").strip().casefold(),
        status=status,
        waiting=waiting_for_approval,
        visibility=caller.visibility,
    )
