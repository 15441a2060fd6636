"""The hold of a restored database, and its end. An extension of the contract."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency

from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.routes import get, permission, post
from dagbook.api.schemas.maintenance import HeldDatabase, ResumedDatabase
from dagbook.api.services import SystemServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires

Services = NamedDependency[SystemServices]


class HoldController(Controller):
    path = "/hold"
    opt = permission(Requires.READ)
    dependencies = provide_services(SystemServices)

    @get("", "getHold", narrowed=True)
    async def get_hold(self, services: Services, caller: CurrentCaller) -> HeldDatabase:
        """Return whether this database was restored from a backup and is held, so that no run starts.

        Callers with grants are told no more than that, and since when.
        """
        state = await services.holding.describe()
        if state is None:
            return HeldDatabase(held=False)
        found = HeldDatabase(held=True, since=time_text(state.hold.held_at, services.zone))
        if not caller.visibility:
            found.origin, found.by = state.hold.origin, or_unset(state.hold.held_by)
            found.unfinished_runs, found.queued_runs = state.unfinished, state.queued
        return found

    @post("/resume", "resumeDatabase", Requires.UPKEEP, Action.DATABASE_RESUME)
    async def resume(self, services: Services, caller: CurrentCaller) -> ResumedDatabase:
        """End the hold: runs that had not finished in the backup fail, queued runs and schedules start from now on.

        Messages of alerts that waited are dropped, open alerts closed, and events of triggers that waited in the backup
        dead. Without a hold it is refused with ``not_running``.
        """
        state = await services.holding.resume(caller.actor)
        return ResumedDatabase(
            failed_runs=state.unfinished,
            queued_runs=state.queued,
            dropped_deliveries=state.dropped,
            closed_alerts=state.closed,
            dead_events=state.dead,
        )
