"""What users do with events: try one out, start one again, discard one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.triggers import events
from dagbook.db.repositories.triggers.events import NewTriggerEvent, Received, TriggerEventRow
from dagbook.db.repositories.triggers.triggers import TriggerRow
from dagbook.errors import AppError, BadRequestError, NotFoundError, NotRunningError, UnavailableError
from dagbook.identifiers import new_run_id, shorten
from dagbook.runs.model import PlannedRun, StartOptions
from dagbook.runs.service.run_service import RunService
from dagbook.telemetry.metrics import RunMetrics
from dagbook.triggers import values
from dagbook.triggers.dispatch import read_dag, read_message, start_of
from dagbook.triggers.intake import judge
from dagbook.triggers.requests import ReplayEvent, SampleEvent, WebhookSettings
from dagbook.triggers.values import QUICK_BYTES, Message, UnusableError


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of an event: why filters keep it from a run, its params, and its run or why it has none."""

    filter: str = ""
    params: Mapping[str, str] = {}
    problem: str = ""
    plan: PlannedRun | None = None


class Inbox:
    """The events of a database, as users handle them; ``trigger`` is one that the caller may use."""

    def __init__(self, database: Database, run_service: RunService, metrics: RunMetrics, now: Clock) -> None:
        self._database = database
        self._metrics = metrics
        self._run_service = run_service
        self._now = now

    async def test(self, trigger: TriggerRow, given: SampleEvent) -> Trial:
        """Return what would become of an event; nothing is stored. Raises BadRequestError."""
        body = given.body.encode()
        if len(body) > trigger.max_bytes:
            raise BadRequestError(f"body: has {len(body)} bytes; the trigger takes {trigger.max_bytes} (maxBytes)")
        headers = {name.lower(): [value] for name, value in given.headers.items()}
        own = msgspec.convert(trigger.settings, WebhookSettings).header if trigger.scheme else ""
        kept = values.keep_headers(headers, trigger.filters, trigger.params, own)
        message = Message(headers=kept, body=body, content_type=kept.get("content-type", ""), item=given.item)
        return await self._try(trigger, message, None, lambda: judge(trigger, message)[1] or "")

    async def preview(self, trigger: TriggerRow, event: TriggerEventRow, revision: int | None) -> Trial:
        """Return what a replay of an event would start; nothing is stored. Raises AppError."""
        _check_replay(event)
        try:
            message = await read_message(self._database, trigger, event)
        except UnusableError as error:
            return Trial(problem=str(error))
        return await self._try(trigger, message, revision, str)  # filters are not asked again

    async def _try(
        self, trigger: TriggerRow, message: Message, revision: int | None, find_filter: Callable[[], str]
    ) -> Trial:
        trial = Trial()

        def evaluate() -> str | StartOptions:
            return find_filter() or start_of(trigger, new_run_id(), message, None)

        try:
            is_quick = len(message.body or b"") <= QUICK_BYTES
            start = evaluate() if is_quick else await asyncio.to_thread(evaluate)
            if isinstance(start, str):
                return Trial(filter=start)
            trial = Trial(params={pair.name: pair.value for pair in start.params.read()})
            dag = await read_dag(self._database, trigger, revision)
            return msgspec.structs.replace(trial, plan=await self._run_service.plan_stored(dag, start))
        except UnavailableError:
            raise
        except (UnusableError, AppError) as error:
            return msgspec.structs.replace(trial, problem=str(error))

    async def replay(self, trigger: TriggerRow, event_id: str, given: ReplayEvent, actor: Actor) -> Received:
        """Store an event that starts a run as another one did or would have; filters are not asked again.

        The same ``replayId`` is the same event. Raises AppError.
        """
        try:
            await read_dag(self._database, trigger, given.revision)
        except UnusableError as error:
            raise BadRequestError(f"revision: {error}") from error
        replay_id, at = given.replay_id or new_run_id(), self._now()

        def work(connection: WriteConnection) -> Received:
            event = events.lock(connection, trigger.id, event_id) or no_event(trigger, event_id)
            _check_replay(event)
            new = NewTriggerEvent(
                id=new_run_id(),
                trigger_id=trigger.id,
                key=events.key_of_replay(event.id, replay_id),
                received_at=at,
                content_type=event.content_type,
                headers=event.headers,
                body=event.body,
                body_bytes=event.body_bytes,
                item=event.item,
                revision=given.revision,
                source=event.id,
                depth=event.depth,
                actor=msgspec.structs.asdict(actor),
            )
            received = events.receive(connection, new)
            if received is None:
                raise UnavailableError("the event was deleted meanwhile; try again")
            if not received.is_duplicate:
                state = events.REPLAYED if event.state == events.DEAD else event.state
                events.change(connection, event.id, replays=event.replays + 1, state=state)
                after: dict[str, object] = {"event": event.id, "run": received.id}
                after |= {} if given.revision is None else {"revision": given.revision}
                audit.add(connection, actor.entry(_action(Action.TRIGGER_REPLAY, trigger, after), at))
            return received

        received = await self._database.write(work)
        if not received.is_duplicate:
            self._metrics.count_events(received.state)
        return received

    async def discard(self, trigger: TriggerRow, event_id: str, actor: Actor) -> None:
        """Settle an event that waits or is dead without a run; raises NotFoundError and NotRunningError."""
        at = self._now()

        def work(connection: WriteConnection) -> None:
            event = events.lock(connection, trigger.id, event_id) or no_event(trigger, event_id)
            if event.state not in (events.WAITING, events.DEAD):
                raise NotRunningError(f"the event {shorten(event_id)} is {event.state}; it needs no discard")
            reason = f"discarded by {actor.label}" if actor.label else "discarded"
            events.change(connection, event.id, state=events.DISCARDED, reason=reason, settled_at=at)
            done = _action(Action.TRIGGER_DISCARD, trigger, {"event": event.id, "was": event.state})
            audit.add(connection, actor.entry(done, at))

        await self._database.write(work)
        self._metrics.count_events(events.DISCARDED)


def no_event(trigger: TriggerRow, event_id: str) -> NoReturn:
    """Raise NotFoundError for an event that a trigger does not have."""
    raise NotFoundError(f"the trigger {shorten(trigger.name)} has no event {shorten(event_id)}")


def _check_replay(event: TriggerEventRow) -> None:
    """Raise AppError for an event that cannot be replayed."""
    if event.state == events.WAITING:
        raise NotRunningError(f"the event {shorten(event.id)} still waits; it needs no replay")
    if event.body_bytes and event.body is None:
        raise BadRequestError(f"the body of the event {shorten(event.id)} is gone, so that it cannot be replayed")


def _action(action: Action, trigger: TriggerRow, after: Values) -> AuditAction:
    return AuditAction(action=action, kind="trigger", name=trigger.name, after=after)
