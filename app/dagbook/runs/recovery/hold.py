"""The hold of a restored database (docs/how-to/backup.md): no run begins or goes on until ``dagbook resume``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction
from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit, changes, holds, queue, schedules
from dagbook.db.repositories.alerts import events, upkeep
from dagbook.db.repositories.holds import HoldRow
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.schedules import SlotKey, SlotOutcome
from dagbook.db.repositories.triggers import upkeep as trigger_upkeep
from dagbook.engine.status import RunStatus
from dagbook.errors import NotRunningError
from dagbook.runs.store.finishing import force_finish

_log = logging.getLogger(__name__)
HELD = (
    "this database was restored from a backup and is held: nothing starts here until `dagbook resume`, so that nothing "
    "runs twice beside the original"
)
_POLL_SECONDS, _IDLE_SECONDS = 2.0, 3600.0
_UNFINISHED = (
    "it had not finished when the backup was taken: what became of it is unknown here, and it was not continued"
)
_NOT_RESTARTED = "the database was restored from a backup meanwhile"


class HoldState(msgspec.Struct, frozen=True, kw_only=True):
    """The hold, the runs that its end fails, and the queued runs that start then.

    Once it has ended also the messages of alerts that were dropped, the alerts that were closed, and the events of
    triggers that are dead, since the original may have started them.
    """

    hold: HoldRow
    unfinished: int
    queued: int
    dropped: int = 0
    closed: int = 0
    dead: int = 0


class Holding:
    """Reads, follows and ends the hold of this database; ``row`` is what was read last."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now
        self.row: HoldRow | None = None
        self._then: Callable[[], Awaitable[None]] | None = None
        self._loop = BackgroundLoop(
            "hold",
            self._look,
            every_seconds=lambda: _IDLE_SECONDS if self._then is None else _POLL_SECONDS,
            failure="the end of the hold could not be handled; it is tried again",
            expected=(DatabaseUnavailable,),
        )

    async def read(self) -> HoldRow | None:
        """Return the hold; None while there is none."""
        self.row = await self._database.read_inline(holds.get)
        return self.row

    async def describe(self) -> HoldState | None:
        """Return the hold and what its end does; None while there is none."""

        def describe(connection: ReadConnection) -> HoldState | None:
            row = holds.get(connection)
            if row is None:
                return None
            unfinished, queued = holds.count_runs(connection)
            return HoldState(hold=row, unfinished=unfinished, queued=queued)

        return await self._database.read(describe)

    async def wait(self) -> None:
        """Return when there is no hold."""
        if await self.read() is not None:
            _log.warning("%s", HELD)
        while await self.read() is not None:  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(_POLL_SECONDS)

    def follow(self, then: Callable[[], Awaitable[None]]) -> None:
        """Call ``then`` when the hold has ended, by this process or by another one; again while it fails."""
        _log.warning("%s", HELD)
        self._then = then
        self._loop.start()

    async def _look(self) -> None:
        # ``row`` stays until ``then`` is about to start runs: a server that shows no hold must not refuse them.
        if self._then is None or await self._database.read_inline(holds.get) is not None:
            return
        await self._then()
        self._then = self.row = None
        _log.info("the hold of the database has ended")

    async def stop(self) -> None:
        """Stop following; harmless without ``follow``."""
        await self._loop.stop()

    async def resume(self, actor: Actor) -> HoldState:
        """End the hold, in one transaction with all that follows from it, and return what it was.

        Runs that had not finished when the backup was taken fail, restarts of schedules too, and minutes that passed
        since then are not made up for. Queued runs stay queued. What waits to be told by alerts is dropped, because the
        original tells it, and events of triggers that waited are dead. Raises NotRunningError without a hold.
        """
        at = self._now()
        state = await self._database.write(lambda connection: end_hold(connection, actor, at))
        self._loop.wake()
        return state


def end_hold(connection: WriteConnection, actor: Actor, at: datetime) -> HoldState:
    """End the hold, and the runs and restarts that the original had not finished; raises NotRunningError."""
    row = holds.get(connection)
    if row is None or not holds.remove(connection):
        raise NotRunningError("this database is not held; the end of a pause is DELETE /pause, or `dagbook unpause`")
    unfinished, queued = holds.count_runs(connection)
    for run in holds.lock_unfinished(connection):
        if run.is_queued:
            queue.remove_entries(connection, {run.run})
            changes.add_queue_changes(connection, [run.queue])
        fence = Fence(run.run, run.number, run.token)
        force_finish(connection, fence, RunStatus.FAILED, _UNFINISHED, at)
    for slot in schedules.find_restarting(connection):
        key = SlotKey(slot.dag_id, slot.kind, slot.minute)
        given = schedules.Slot(key=key, file_name=slot.file_name, awaiting_restart=True)
        schedules.finish(connection, SlotOutcome(given, schedules.FAILED, at, _NOT_RESTARTED))
    schedules.set_mark(connection, at.replace(second=0, microsecond=0))
    ended = upkeep.end_restored(connection, events.read_time(connection, at))
    dead = trigger_upkeep.end_restored(connection, at)
    after = {
        "failedRuns": unfinished,
        "queuedRuns": queued,
        "droppedDeliveries": ended.dropped,
        "closedAlerts": ended.closed,
        "deadEvents": dead,
    }
    done = AuditAction(action=Action.DATABASE_RESUME, kind="database", name=row.origin, after=after)
    audit.add(connection, actor.entry(done, at))
    return HoldState(
        hold=row, unfinished=unfinished, queued=queued, dropped=ended.dropped, closed=ended.closed, dead=dead
    )
