"""Triggers and their events. An extension of the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from dagbook.accounts.rights import find_permitted, require_dag, sees_dag
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import or_unset
from dagbook.api.presenters.triggers import present_event, present_received, present_trial, present_trigger
from dagbook.api.routes import delete, get, patch, permission, post
from dagbook.api.schemas.triggers import (
    ReceivedEvent,
    ResumeTrigger,
    Trigger,
    TriggerEvent,
    TriggerEvents,
    Triggers,
    TriggerSecret,
    TriggerTest,
)
from dagbook.api.services import TriggerServices
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.compression import decompress_bytes
from dagbook.db.database import ReadConnection
from dagbook.db.repositories import dags
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.triggers import events
from dagbook.db.repositories.triggers.events import TriggerEventFilter, TriggerEventRow
from dagbook.db.repositories.triggers.triggers import ListedTrigger
from dagbook.errors import BadRequestError, ForbiddenError, NotFoundError
from dagbook.identifiers import is_name, shorten, strip_suffix
from dagbook.triggers.after import AFTER, read_upstream
from dagbook.triggers.inbox import no_event
from dagbook.triggers.requests import ChangeTrigger, NewTrigger, ReplayEvent, SampleEvent
from dagbook.triggers.values import UnusableError

Services = NamedDependency[TriggerServices]
_MOST = 50
_OCTETS = "application/octet-stream"
_BODY = ResponseSpec(bytes, generate_examples=False, media_type=_OCTETS, description="The body as it was received")
_TRIED = ResponseSpec(TriggerTest, generate_examples=False, description="The run that it would start")


async def _present(services: TriggerServices, caller: Caller, rows: Sequence[ListedTrigger]) -> list[Trigger]:
    """Return triggers as clients see them, with what the caller may do."""
    names = [row.dag_name or "" for row in rows]
    changing, running = await find_permitted(services.auth, caller, names, Requires.SYNC, Requires.RUN)
    return [
        replace(
            present_trigger(row, services.zone, queues_enabled=services.queues.enabled, hooks=services.hooks),
            may_change=name in changing,
            may_run=name in running,
        )
        for row, name in zip(rows, names, strict=True)
    ]


async def _present_one(services: TriggerServices, caller: Caller, row: ListedTrigger, secret: str = "") -> Trigger:
    (found,) = await _present(services, caller, [row])
    return replace(found, secret=secret or UNSET)


async def _visible(services: TriggerServices, caller: Caller, name: str) -> ListedTrigger:
    """Return a trigger that a caller sees; raises NotFoundError."""
    row = await services.triggers.require(name)
    if not await sees_dag(services.auth, caller, row.dag_name):
        raise NotFoundError(f"there is no trigger named {shorten(name)}")
    return row


async def _require(services: TriggerServices, caller: Caller, name: str, requires: Requires) -> ListedTrigger:
    """Return a trigger if a caller may do this with its DAG; raises NotFoundError and ForbiddenError."""
    row = await _visible(services, caller, name)
    await require_dag(services.auth, caller, row.dag_name or "", requires)
    return row


async def _find_dag(services: TriggerServices, caller: Caller, file_name: str, field: str) -> DagRow:
    """Return a DAG that a caller sees; raises NotFoundError, with one text for what is not there and not seen."""
    name = strip_suffix(file_name)
    dag = await services.database.read_inline(dags.get, name) if is_name(name) else None
    if dag is None or not await sees_dag(services.auth, caller, dag.dag_name):
        raise NotFoundError(f"{field}: there is no DAG named {shorten(file_name)}")
    return dag


async def _require_dag(services: TriggerServices, caller: Caller, file_name: str) -> DagRow:
    """Return a DAG for which a caller may have triggers; raises NotFoundError and ForbiddenError."""
    dag = await _find_dag(services, caller, file_name, "dag")
    await require_dag(services.auth, caller, dag.dag_name, Requires.SYNC)
    return dag


async def _find_upstream(
    services: TriggerServices, caller: Caller, change: ChangeTrigger, before: str | None = None
) -> DagRow | None:
    """Return the DAG that a trigger is to follow, or follows; who changes it has to see that. Raises NotFoundError."""
    name = (change.settings.after if change.settings else "") or before
    return await _find_dag(services, caller, name, "settings.after") if name else None


async def _require_event(services: TriggerServices, trigger: ListedTrigger, event_id: str) -> TriggerEventRow:
    """Return an event of a trigger with its body; raises NotFoundError."""
    key = event_id.replace("\0", "")
    row = await services.database.read_inline(lambda connection: events.get(connection, trigger.id, key))
    return row or no_event(trigger, event_id)


async def _present_event(services: TriggerServices, trigger: ListedTrigger, event_id: str) -> TriggerEvent:
    row, enabled = await _require_event(services, trigger, event_id), services.queues.enabled
    upstream = None
    with suppress(UnusableError):
        upstream = await services.database.read(read_upstream, trigger, row) if trigger.kind == AFTER else None
    shown = await asyncio.to_thread(
        present_event, row, trigger, services.zone, queues_enabled=enabled, upstream=upstream
    )
    return replace(shown, body_gone=or_unset(row.body is None and row.body_bytes > 0))


def _check_queue(caller: Caller, change: ChangeTrigger) -> None:
    """Raise ForbiddenError for a queue that may be one of another DAG."""
    if caller.visibility and change.queue:
        raise ForbiddenError("queue: your rights are for single DAGs; leave it out, for the queue of the DAG")


class TriggersController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(TriggerServices)

    @get("/triggers", "listTriggers", narrowed=True)
    async def list_triggers(self, services: Services, caller: CurrentCaller) -> Triggers:
        """List the triggers, with how many of their events wait or are dead."""
        return Triggers(triggers=await _present(services, caller, await services.triggers.find(caller.visibility)))

    @get("/dags/{fileName:str}/triggers", "listDAGTriggers", 404)
    async def list_of_dag(self, file_name: parameters.FileName, services: Services, caller: CurrentCaller) -> Triggers:
        """List the triggers of a DAG."""
        dag = await services.triggers.require_dag(strip_suffix(file_name))
        return Triggers(triggers=await _present(services, caller, await services.triggers.find_of_dag(dag.file_name)))

    @post(
        "/triggers",
        "addTrigger",
        Requires.SYNC,
        Action.TRIGGER_CREATE,
        *(404, 409),
        status_code=201,
        checks_grants=True,
    )
    async def add(self, data: JSONBody[NewTrigger], services: Services, caller: CurrentCaller) -> Trigger:
        """Add a trigger; the secret that was made for it is in this answer, and in no later one."""
        _check_queue(caller, data)
        dag = await _require_dag(services, caller, data.dag)
        upstream = await _find_upstream(services, caller, data)
        row, secret = await services.triggers.add(data, dag, caller.actor, upstream)
        return await _present_one(services, caller, row, secret)

    @get("/triggers/{triggerName:str}", "getTrigger", 404, narrowed=True)
    async def get_trigger(
        self, trigger_name: parameters.TriggerName, services: Services, caller: CurrentCaller
    ) -> Trigger:
        """Return a trigger with its state."""
        return await _present_one(services, caller, await _visible(services, caller, trigger_name))

    @patch(
        "/triggers/{triggerName:str}",
        "changeTrigger",
        Requires.SYNC,
        Action.TRIGGER_UPDATE,
        404,
        checks_grants=True,
    )
    async def change(
        self,
        trigger_name: parameters.TriggerName,
        data: JSONBody[ChangeTrigger],
        services: Services,
        caller: CurrentCaller,
    ) -> Trigger:
        """Change a trigger; with a new secret the old one is taken for 24 hours, too."""
        _check_queue(caller, data)
        before = await _require(services, caller, trigger_name, Requires.SYNC)
        dag = None if data.dag is None else await _require_dag(services, caller, data.dag)
        upstream = await _find_upstream(services, caller, data, before.upstream)
        row = await services.triggers.change(trigger_name, data, dag, caller.actor, upstream)
        return await _present_one(services, caller, row)

    @delete(
        "/triggers/{triggerName:str}",
        "deleteTrigger",
        Requires.SYNC,
        Action.TRIGGER_DELETE,
        404,
        checks_grants=True,
    )
    async def remove(self, trigger_name: parameters.TriggerName, services: Services, caller: CurrentCaller) -> None:
        """Delete a trigger with its events; their runs stay."""
        await _require(services, caller, trigger_name, Requires.SYNC)
        await services.triggers.remove(trigger_name, caller.actor)

    @post(
        "/triggers/{triggerName:str}/secret",
        "rotateTriggerSecret",
        Requires.SYNC,
        Action.TRIGGER_SECRET,
        404,
        checks_grants=True,
    )
    async def rotate(
        self,
        trigger_name: parameters.TriggerName,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[TriggerSecret | None] = None,
    ) -> Trigger:
        """Make a new secret, or take one of the sender; the old one is taken for 24 hours, too."""
        await _require(services, caller, trigger_name, Requires.SYNC)
        given = None if data is None or isinstance(data.secret, UnsetType) else data.secret
        row, secret = await services.triggers.rotate(trigger_name, given, caller.actor)
        return await _present_one(services, caller, row, secret)

    @post(
        "/triggers/{triggerName:str}/pause",
        "pauseTrigger",
        Requires.RUN,
        Action.TRIGGER_PAUSE,
        404,
        checks_grants=True,
    )
    async def pause(self, trigger_name: parameters.TriggerName, services: Services, caller: CurrentCaller) -> Trigger:
        """Let events wait until the trigger is resumed."""
        await _require(services, caller, trigger_name, Requires.RUN)
        return await _present_one(services, caller, await services.triggers.pause(trigger_name, caller.actor))

    @post(
        "/triggers/{triggerName:str}/resume",
        "resumeTrigger",
        Requires.RUN,
        Action.TRIGGER_RESUME,
        404,
        checks_grants=True,
    )
    async def resume(
        self,
        trigger_name: parameters.TriggerName,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[ResumeTrigger | None] = None,
    ) -> Trigger:
        """Start the events that wait, in order, or discard them."""
        await _require(services, caller, trigger_name, Requires.RUN)
        discards = data is not None and data.discard
        row = await services.triggers.resume(trigger_name, caller.actor, discards=discards)
        return await _present_one(services, caller, row)

    @get("/triggers/{triggerName:str}/events", "listTriggerEvents", 404, narrowed=True)
    async def list_events(
        self,
        trigger_name: parameters.TriggerName,
        services: Services,
        caller: CurrentCaller,
        event_state: parameters.EventState = None,
        cursor: parameters.AlertCursor = None,
    ) -> TriggerEvents:
        """List the events of a trigger, the newest first."""
        trigger = await _visible(services, caller, trigger_name)

        def read(connection: ReadConnection) -> Sequence[TriggerEventRow] | None:
            last = events.get(connection, trigger.id, cursor.replace("\0", "")) if cursor else None
            if cursor and last is None:
                return None
            before = None if last is None else (last.received_at, last.id)
            wanted = TriggerEventFilter(trigger_id=trigger.id, state=event_state, before=before)
            return events.find_page(connection, wanted, _MOST + 1)

        rows = await services.database.read(read)
        if rows is None:
            raise BadRequestError(f"cursor: {shorten(cursor or '')} is not valid; use nextCursor of a response")
        shown = [
            present_event(row, trigger, services.zone, queues_enabled=services.queues.enabled) for row in rows[:_MOST]
        ]
        return TriggerEvents(events=shown, next_cursor=rows[_MOST - 1].id if len(rows) > _MOST else UNSET)

    @get("/triggers/{triggerName:str}/events/{eventId:str}", "getTriggerEvent", 404, narrowed=True)
    async def get_event(
        self,
        trigger_name: parameters.TriggerName,
        event_id: parameters.EventId,
        services: Services,
        caller: CurrentCaller,
    ) -> TriggerEvent:
        """Return an event with its headers and params."""
        trigger = await _visible(services, caller, trigger_name)
        return await _present_event(services, trigger, event_id)

    @get(
        "/triggers/{triggerName:str}/events/{eventId:str}/body",
        "downloadTriggerEventBody",
        404,
        requires=Requires.OPERATE,
        responses={200: _BODY},
        media_type=_OCTETS,
        checks_grants=True,
    )
    async def get_body(
        self,
        trigger_name: parameters.TriggerName,
        event_id: parameters.EventId,
        services: Services,
        caller: CurrentCaller,
    ) -> Response[bytes]:
        """Download the body of an event, byte by byte as it was received; viewers may not."""
        trigger = await _require(services, caller, trigger_name, Requires.OPERATE)
        row = await _require_event(services, trigger, event_id)
        if row.body is None:
            reason = (
                "is gone: it was older than trigger_body_days, or there were too many" if row.body_bytes else "is empty"
            )
            raise NotFoundError(f"the body of the event {shorten(event_id)} {reason}")
        body = await asyncio.to_thread(decompress_bytes, row.body)
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(row.id, safe='')}"}
        return Response(body, media_type=_OCTETS, headers=headers)

    @post("/triggers/{triggerName:str}/test", "testTrigger", Requires.OPERATE, None, 404, checks_grants=True)
    async def test(
        self,
        trigger_name: parameters.TriggerName,
        data: JSONBody[SampleEvent],
        services: Services,
        caller: CurrentCaller,
    ) -> TriggerTest:
        """Return what filters and params give for an event, and the run that it would start; nothing is stored."""
        trigger = await _require(services, caller, trigger_name, Requires.OPERATE)
        return present_trial(await services.inbox.test(trigger, data))

    @post(
        "/triggers/{triggerName:str}/events/{eventId:str}/replay",
        "replayTriggerEvent",
        Requires.RUN,
        Action.TRIGGER_REPLAY,
        404,
        responses={200: _TRIED},
        status_code=202,
        checks_grants=True,
    )
    async def replay(
        self,
        trigger_name: parameters.TriggerName,
        event_id: parameters.EventId,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[ReplayEvent | None] = None,
    ) -> Response[ReceivedEvent] | Response[TriggerTest]:
        """Start a run for an event that is settled, once more; filters are not asked again.

        It is a new event with the body of the other one, and its run has the caller as its actor. With ``dry`` nothing
        is stored, and the answer is 200 with the run that it would be.
        """
        trigger, given = await _require(services, caller, trigger_name, Requires.RUN), data or ReplayEvent()
        if given.dry:
            event = await _require_event(services, trigger, event_id)
            tried = await services.inbox.preview(trigger, event, given.revision)
            return Response(present_trial(tried), status_code=200)
        received = await services.inbox.replay(trigger, event_id.replace("\0", ""), given, caller.actor)
        return Response(present_received(received), status_code=202)

    @post(
        "/triggers/{triggerName:str}/events/{eventId:str}/discard",
        "discardTriggerEvent",
        Requires.RUN,
        Action.TRIGGER_DISCARD,
        404,
        checks_grants=True,
    )
    async def discard(
        self,
        trigger_name: parameters.TriggerName,
        event_id: parameters.EventId,
        services: Services,
        caller: CurrentCaller,
    ) -> TriggerEvent:
        """Discard an event that waits or is dead, so that it starts nothing."""
        trigger = await _require(services, caller, trigger_name, Requires.RUN)
        await services.inbox.discard(trigger, event_id.replace("\0", ""), caller.actor)
        return await _present_event(services, trigger, event_id)
