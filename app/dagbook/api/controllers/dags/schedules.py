"""Upcoming and past schedule slots, and settings of DAGs. Extensions of the contract."""

from __future__ import annotations

from datetime import UTC, tzinfo

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET

from dagbook.api.dependencies import CurrentCaller, RequestedPage, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.routes import get, permission, put
from dagbook.api.schemas.dags import (
    DagAccount,
    DagSettings,
    ShownDagAccount,
    ShownDagSettings,
    Slot,
    Slots,
    Upcoming,
    UpcomingList,
)
from dagbook.api.services import DagServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import dags, schedules
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.schedules import SlotRow
from dagbook.definitions import settings
from dagbook.definitions.queries import require_dag
from dagbook.definitions.timetable import UpcomingFiring, UpcomingQuery
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import check_dag_name, shorten, strip_suffix
from dagbook.runs.filter_texts import read_instant
from dagbook.spec.time import cron_words

Services = NamedDependency[DagServices]

_SETTINGS = "/dags/{fileName:str}/settings"
_RUN_AS = "/dags/{fileName:str}/run-as"
_DEFAULT_UPCOMING, _MAX_UPCOMING = 50, 1000


def _upcoming(firing: UpcomingFiring, zone: tzinfo) -> Upcoming:
    return Upcoming(
        file_name=firing.dag.file_name,
        dag_name=firing.dag.dag_name,
        kind=firing.kind,
        at=time_text(firing.at, zone),
        expression=firing.expression,
        words=cron_words.describe(firing.expression),
        zone=firing.zone,
        suspended=firing.dag.suspended,
    )


def _read_slots(
    connection: ReadConnection, name: str | None, visibility: Visibility, *, offset: int, limit: int
) -> tuple[int, list[SlotRow]]:
    stored = None if name is None else dags.get(connection, name)
    key = None if stored is None else stored.id
    total = schedules.count(connection, key, name, visibility)
    is_hidden = bool(name and visibility) and dag_access.get_rank_of_file(connection, name or "", visibility) is None
    if name is not None and not total and (stored is None or is_hidden):
        raise NotFoundError(f"dag: there is no DAG named {shorten(name)}")
    return total, list(schedules.find_page(connection, key, name, visibility, offset=offset, limit=limit))


def _slot(row: SlotRow, zone: tzinfo) -> Slot:
    return Slot(
        file_name=row.file_name,
        kind=row.kind,
        scheduled_at=time_text(row.minute, zone),
        outcome=row.outcome,
        settled_at=time_text(row.settled_at, zone),
        reason=or_unset(row.reason or ""),
        dag_name=or_unset(row.dag_name or ""),
        dag_run_id=or_unset(row.run_id or ""),
        made_up=or_unset(row.made_up and row.outcome != schedules.SUSPENDED),
    )


async def _settings(services: DagServices, row: DagRow) -> ShownDagSettings:
    found = await services.dag_settings.get(row)
    return ShownDagSettings(
        catchup=found.catchup,
        catchup_window_sec=found.catchup_window_seconds,
        catchup_most_starts=settings.MAX_CATCH_UP,
    )


class SchedulesController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @get("/schedules/upcoming", "listUpcomingSchedules", narrowed=True)
    async def list_upcoming(
        self,
        services: Services,
        caller: CurrentCaller,
        limit: parameters.UpcomingLimit = _DEFAULT_UPCOMING,
        per_dag: parameters.PerDagLimit = None,
        until: parameters.Until = None,
    ) -> UpcomingList:
        """List the next scheduled starts, stops and restarts of all DAGs, in order of time.

        ``perDag`` is the maximum number of starts, of stops and of restarts of one DAG, so that a DAG that is due every
        minute does not hide the others.
        """
        for name, most in (("limit", limit), ("perDag", _MAX_UPCOMING if per_dag is None else per_dag)):
            if not 1 <= most <= _MAX_UPCOMING:
                raise BadRequestError(f"{name}: must be from 1 to {_MAX_UPCOMING}")
        query = UpcomingQuery(
            until=read_instant("until", until), limit=limit, per_dag=per_dag, visibility=caller.visibility
        )
        found = await services.timetable.upcoming(services.now().astimezone(UTC), query)
        return UpcomingList(upcoming=[_upcoming(firing, services.zone) for firing in found])

    @get("/schedules/slots", "listScheduleSlots", 404, narrowed=True)
    async def list_slots(
        self, services: Services, caller: CurrentCaller, page_number: RequestedPage, dag: parameters.ByDag = None
    ) -> Slots:
        """List past schedule slots with their outcomes, newest first; with ``dag`` of one DAG, also a deleted one."""
        if dag is not None:
            check_dag_name(strip_suffix(dag), "dag")
        name = None if dag is None else strip_suffix(dag)
        total, rows = await services.database.read(
            lambda connection: _read_slots(
                connection, name, caller.visibility, offset=page_number.offset, limit=page_number.size
            )
        )
        return Slots(slots=[_slot(row, services.zone) for row in rows], pagination=page_number.paging(total))

    @get(_SETTINGS, "getDAGSettings", 404)
    async def get_settings(self, file_name: parameters.FileName, services: Services) -> ShownDagSettings:
        """Return the settings of a DAG, which are not part of its definition."""
        return await _settings(services, await require_dag(services.database, file_name))

    @put(_SETTINGS, "putDAGSettings", Requires.WRITE, Action.DAG_SETTINGS, 404)
    async def put_settings(
        self, file_name: parameters.FileName, data: JSONBody[DagSettings], services: Services, caller: CurrentCaller
    ) -> ShownDagSettings:
        """Set the catch-up of a DAG: which missed starts are made up."""
        row = await require_dag(services.database, file_name)
        seconds = settings.DEFAULT_WINDOW_SECONDS if data.catchup_window_sec is UNSET else data.catchup_window_sec
        new = settings.DagSettings(catchup=data.catchup, catchup_window_seconds=seconds)
        await services.dag_settings.put(row, new, caller.actor)
        return await _settings(services, row)

    @get(_RUN_AS, "getDAGRunAs", 404)
    async def get_run_as(self, file_name: parameters.FileName, services: Services) -> ShownDagAccount:
        """Return the account under which the commands of a DAG run."""
        row = await require_dag(services.database, file_name)
        return ShownDagAccount(account=row.run_as or "", effective=row.run_as or services.dag_settings.run_as)

    @put(_RUN_AS, "putDAGRunAs", Requires.UPKEEP, Action.DAG_RUN_AS, 404)
    async def put_run_as(
        self, file_name: parameters.FileName, data: JSONBody[DagAccount], services: Services, caller: CurrentCaller
    ) -> ShownDagAccount:
        """Set the account under which the commands of a DAG run, from the next start, retry or take-over on."""
        row = await require_dag(services.database, file_name)
        await services.dag_settings.put_run_as(row, data.account, caller.actor)
        return ShownDagAccount(account=data.account, effective=data.account or services.dag_settings.run_as)
