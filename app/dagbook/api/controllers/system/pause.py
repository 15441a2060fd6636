"""The pause of everything, and its end. An extension of the contract."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params.parameters import read_end, read_reason
from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.routes import delete, get, permission, put
from dagbook.api.schemas.maintenance import EndedPause, PauseStatus, SetPause
from dagbook.api.services import SystemServices
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires

Services = NamedDependency[SystemServices]


async def _describe(services: SystemServices, caller: Caller) -> PauseStatus:
    state = await services.pausing.describe()
    if state is None:
        return PauseStatus(paused=False)
    row = state.row
    found = PauseStatus(
        paused=True,
        since=time_text(row.paused_at, services.zone),
        reason=row.reason,
        until=or_unset(time_text(row.until, services.zone)),
    )
    if not caller.visibility:
        found.by, found.running, found.queued = or_unset(row.paused_by), state.running, state.queued
        found.skipped_starts = state.skipped_starts
    return found


class PauseController(Controller):
    path = "/pause"
    opt = permission(Requires.READ)
    dependencies = provide_services(SystemServices)

    @get("", "getPause", narrowed=True)
    async def get_pause(self, services: Services, caller: CurrentCaller) -> PauseStatus:
        """Return whether everything is paused, why and until when, and what still runs.

        Callers with grants are told since when, why and until when.
        """
        return await _describe(services, caller)

    @put("", "setPause", Requires.UPKEEP, Action.PAUSE_SET)
    async def set_pause(self, data: JSONBody[SetPause], services: Services, caller: CurrentCaller) -> PauseStatus:
        """Start no run on any server until the pause ends: running ones, their sub-runs and steps go on.

        Starts are queued, or refused with 503 where they may not wait. A second pause replaces reason and end.
        """
        until = read_end(data.until, services.now())
        await services.pausing.pause(read_reason(data.reason), until, caller.actor)
        return await _describe(services, caller)

    @delete("", "endPause", Requires.UPKEEP, Action.PAUSE_END, status_code=200)
    async def end_pause(self, services: Services, caller: CurrentCaller) -> EndedPause:
        """End the pause of everything: queued runs start. Queues and DAGs that were paused by themselves stay so.

        Without a pause it is refused with ``not_running``.
        """
        ended = await services.pausing.unpause(caller.actor)
        return EndedPause(
            skipped_starts=sum(ended.skipped.values()),
            skipped=ended.skipped,
            since=time_text(ended.first, services.zone),
            ended_at=time_text(ended.ended, services.zone),
        )
