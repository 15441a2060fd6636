"""The hold of a restored database, and its end. An extension of the contract."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency

from dagbook.api.errors import errors
from dagbook.api.presenters.present import time_text
from dagbook.api.providers import provide_services
from dagbook.api.schemas.common import or_unset
from dagbook.api.schemas.maintenance import HeldDatabase, ResumedDatabase
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.runs.recovery.hold import Holding


class HoldServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of the hold."""

    holding: Holding
    zone: ZoneInfo


class HoldController(Controller):
    path = "/hold"
    dependencies = provide_services(HoldServices)

    @get(operation_id="getHold", requires=Requires.READ, narrowed=True, responses=errors())
    async def get_hold(self, services: NamedDependency[HoldServices], caller: NamedDependency[Caller]) -> HeldDatabase:
        """Return whether this database was restored from a backup and is held, so that no run starts.

        Callers with grants are told no more than that, and since when.
        """
        state = await services.holding.describe()
        if state is None:
            return HeldDatabase(held=False)
        found = HeldDatabase(held=True, since=time_text(state.hold.held_at, services.zone))
        if not caller.sight:
            found.origin, found.by = state.hold.origin, or_unset(state.hold.held_by)
            found.unfinished_runs, found.queued_runs = state.unfinished, state.queued
        return found

    @post(
        "/resume",
        operation_id="resumeDatabase",
        requires=Requires.UPKEEP,
        audits=Action.DATABASE_RESUME,
        status_code=200,
        responses=errors(),
    )
    async def resume(self, services: NamedDependency[HoldServices], caller: NamedDependency[Caller]) -> ResumedDatabase:
        """End the hold: runs that had not finished in the backup fail, queued runs and schedules start from now on.

        Without a hold it is refused with ``not_running``.
        """
        state = await services.holding.resume(caller.actor)
        return ResumedDatabase(failed_runs=state.unfinished, queued_runs=state.queued)
