"""The loop that starts what waits: each event becomes a queued run, in the commit that settles it, or is dead.

Any number of servers may do so at once: an event is settled by the first one, and the others go on with the next. The
events of a trigger are started one after another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from msgspec.structs import replace

from dagbook.auth.audit_context import Actor
from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.compression import decompress_bytes
from dagbook.db.database import TRIGGERS, Database, ReadConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import dags, revisions
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.triggers import events, triggers
from dagbook.db.repositories.triggers.events import TriggerEventRow
from dagbook.db.repositories.triggers.triggers import TriggerRow
from dagbook.engine.admission import Admission
from dagbook.errors import AppError, UnavailableError
from dagbook.json_values import Json
from dagbook.runs.model import StartOptions
from dagbook.runs.service.run_service import EventSettledError, RunService
from dagbook.spec.params.param_text import GivenParams
from dagbook.telemetry.metrics import RunMetrics
from dagbook.triggers import values
from dagbook.triggers.after import AFTER, read_upstream
from dagbook.triggers.values import QUICK_BYTES, Message, UnusableError

_log = logging.getLogger(__name__)
_POLL_SECONDS, _FULL_SECONDS, _BACK_OFF_SECONDS = 5.0, 1.0, 1.0
_AT_A_TIME = 8  # triggers
_MOST_EVENTS = 10  # of a trigger in a round, for which those that come meanwhile wait
NOTIFICATION = "dagbook_triggers"  # from workers that store events to the servers of a database
NO_DAG = "the DAG was deleted"


class TriggerDispatcher:
    """Starts the events of the triggers of a database."""

    def __init__(
        self, database: Database, run_service: RunService, metrics: RunMetrics, now: Clock, *, queues_enabled: bool
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._run_service = run_service
        self._now = now
        self._queues_enabled = queues_enabled
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._rooms = Rooms()
        self._pause = _POLL_SECONDS
        self._loop = BackgroundLoop(
            "triggers",
            self.run_once,
            every_seconds=lambda: self._pause,
            failure="events of triggers could not be started; it is tried again",
            expected=(DatabaseUnavailable, UnavailableError),
            back_off_seconds=_BACK_OFF_SECONDS,
        )
        self.wake = self._loop.wake
        database.on_commit(lambda changed: self.wake() if TRIGGERS in changed else None)

    def start(self) -> None:
        """Start with a round at once: an earlier process may have left something."""
        self._loop.start(0.0)
        if self._database.notifications is not None:
            self._database.notifications.listen(NOTIFICATION, self.wake)

    async def stop(self) -> None:
        """Stop after the active round; harmless without a start."""
        if self._database.notifications is not None:
            await self._database.notifications.unlisten(NOTIFICATION)
        await self._loop.stop()

    async def run_once(self) -> None:
        """Start what may be started now."""
        self._pause = _POLL_SECONDS
        ready = await self._database.read_inline(triggers.find_ready)
        done = await asyncio.gather(*(self._serve(each) for each in ready), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error

    async def _serve(self, trigger: TriggerRow) -> None:
        """Start events of a trigger, the oldest first, as far as there is room for them in the queue."""
        if waits_for(trigger, queues_enabled=self._queues_enabled):
            return
        async with self._turns:
            room = min(await self._find_room(trigger), _MOST_EVENTS)
            if room <= 0:
                self._pause = min(self._pause, _FULL_SECONDS)  # nothing says when a run has left the queue
                return
            waiting = await self._database.read_inline(events.find_waiting, trigger.id, room)
            for event in waiting:
                if self._loop.is_stopping:
                    return
                await self._start(trigger, event.id)
            if len(waiting) == room:
                self.wake()

    async def _find_room(self, trigger: TriggerRow) -> int:
        """Return how many events of a trigger may start."""
        if (room := self._rooms.get(trigger.id)) is not None and not trigger.collapse:
            return room
        queued, active = await self._database.read_inline(events.count_runs, trigger.id)
        if trigger.collapse:
            return await self._collapse(trigger, active)
        self._rooms.put(trigger.id, trigger.max_waiting - queued)
        return trigger.max_waiting - queued

    async def _collapse(self, trigger: TriggerRow, active: int) -> int:
        """Let the newest event supersede the older ones; returns how many may start: one while no run is there."""

        def read(connection: ReadConnection) -> TriggerEventRow | None:
            return events.get_newest_waiting(connection, trigger.id)

        newest = await self._database.read_inline(read)
        if newest is not None:
            superseded = await self._database.write(events.supersede, newest, self._now())
            self._metrics.count_events(events.SUPERSEDED, superseded)
        return 0 if active else 1

    async def _start(self, trigger: TriggerRow, event_id: str) -> None:
        event = await self._database.read_inline(events.get, trigger.id, event_id)
        if event is None or event.state != events.WAITING:  # another server was faster
            return
        try:
            await self._enqueue(trigger, event)
            self._metrics.count_events(events.STARTED)
            self._rooms.take(trigger.id)
        except EventSettledError:
            return
        except (DatabaseUnavailable, UnavailableError):
            raise
        except (UnusableError, AppError) as error:
            await self._bury(event, error.message if isinstance(error, AppError) else str(error))
        except Exception as error:  # noqa: BLE001 - one event that fails must not block the others
            _log.exception("an event of the trigger %s could not be started", trigger.name)
            await self._bury(event, f"the run could not be started: {error}")

    async def _enqueue(self, trigger: TriggerRow, event: TriggerEventRow) -> None:
        message = await read_message(self._database, trigger, event)

        def make_start() -> StartOptions:
            return replace(start_of(trigger, event.id, message, event.actor), run_id=event.run_name)

        start = make_start() if event.body_bytes <= QUICK_BYTES else await asyncio.to_thread(make_start)
        await self._run_service.enqueue_stored(await read_dag(self._database, trigger, event.revision), start)

    async def _bury(self, event: TriggerEventRow, reason: str) -> None:
        """Let an event be dead, with the reason."""
        bury = partial(events.settle, event_id=event.id, state=events.DEAD, reason=reason, at=self._now())
        if await self._database.write(bury):
            self._metrics.count_events(events.DEAD)


class Rooms:
    """How many events of each trigger may start: what was counted within the last second, less those started since.

    A count reads all queued runs, 15,000 in 13 ms, and would be made for nearly every event.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._counted: dict[int, tuple[int, float]] = {}

    def get(self, trigger: int) -> int | None:
        """Return the room of a trigger, or None if it has to be counted again."""
        room, at = self._counted.get(trigger, (0, -_FULL_SECONDS))
        return room if self._seconds() - at < _FULL_SECONDS else None

    def put(self, trigger: int, room: int) -> None:
        self._counted[trigger] = (room, self._seconds())

    def take(self, trigger: int) -> None:
        """Remember that an event has started."""
        room, at = self._counted.get(trigger, (0, -_FULL_SECONDS))
        self._counted[trigger] = (room - 1, at)


def waits_for(trigger: TriggerRow, *, queues_enabled: bool) -> str:
    """Return why the events of a trigger wait, or ""; without its DAG they do not: they are dead."""
    if trigger.paused_at is not None:
        return "the trigger is paused"
    if trigger.suspended:
        return "the DAG is suspended"
    return "" if queues_enabled else "queues are switched off here (queues_enabled)"


def start_of(trigger: TriggerRow, event_id: str, message: Message, actor: Mapping[str, Json] | None) -> StartOptions:
    """Return how the run of an event is started; raises UnusableError."""
    has_mapping = bool(trigger.params)
    return StartOptions(
        params=GivenParams.of_pairs(values.find_params(trigger.params, message)),
        run_id=event_id,
        queue=trigger.queue,
        priority=trigger.priority,
        admission=Admission.UNLIMITED,
        trigger=events.RUN_TRIGGERS[trigger.kind],
        actor=None if actor is None else msgspec.convert(actor, Actor),
        edits=False,
        event=event_id,
        variables=values.make_variables(trigger.name, event_id, message, has_mapping=has_mapping),
    )


async def read_dag(database: Database, trigger: TriggerRow, revision: int | None) -> DagRow:
    """Return the DAG of a trigger, with the text of a revision or the current one; raises UnusableError."""

    def read(connection: ReadConnection) -> DagRow:
        dag = None if trigger.dag_id is None else dags.get_by_key(connection, trigger.dag_id)
        if dag is None:
            raise UnusableError(NO_DAG)
        if revision is None:
            return dag
        found = revisions.find(connection, dag.id, [revision]).get(revision)
        if found is None or found.spec is None:
            reason = "was redacted" if found else "is not there"
            raise UnusableError(f"the revision {revision} of the DAG {dag.file_name} {reason}")
        return replace(dag, revision=revision, definition_hash=found.definition_hash, spec=found.spec)

    return await database.read_inline(read)


async def read_message(database: Database, trigger: TriggerRow, event: TriggerEventRow) -> Message:
    """Return what an event consists of; raises UnusableError."""
    if trigger.kind == AFTER:
        return await database.read(read_upstream, trigger, event)
    return message_of(event) if event.body_bytes <= QUICK_BYTES else await asyncio.to_thread(message_of, event)


def message_of(event: TriggerEventRow) -> Message:
    """Return what is kept of an event."""
    body = None if event.body is None else decompress_bytes(event.body)
    return Message(headers=event.headers, body=body, content_type=event.content_type or "", item=event.item or {})
