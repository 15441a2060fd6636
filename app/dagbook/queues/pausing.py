"""The pause of everything (docs/how-to/pause.md): no root run starts on any server until it ends."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec

from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit, changes, queue
from dagbook.db.repositories.batches import starts
from dagbook.db.repositories.queue import TotalPauseRow
from dagbook.db.repositories.runs import run_history, run_writes
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError, NotRunningError
from dagbook.runs.wakeups import QueueSignal

_log = logging.getLogger(__name__)
_SHORTEST_REASON = 3


class PauseState(msgspec.Struct, frozen=True, kw_only=True):
    """The pause, the root runs that are active and queued, and the starts of schedules that it has skipped so far."""

    row: TotalPauseRow
    running: int
    queued: int
    skipped_starts: int


class EndedPause(msgspec.Struct, frozen=True):
    """The first minute and the end of a pause, and by file name how many starts it has skipped for good."""

    first: datetime
    ended: datetime
    skipped: dict[str, int]


class Pausing:
    """Pauses everything, and ends that."""

    def __init__(self, database: Database, signal: QueueSignal, now: Clock) -> None:
        self._database = database
        self._signal = signal
        self._now = now

    async def is_paused(self) -> bool:
        """Whether everything is paused."""
        return await self._database.read_inline(queue.get_total_pause) is not None

    async def describe(self) -> PauseState | None:
        """Return the pause and what it stops; None while there is none."""

        def describe(connection: ReadConnection) -> PauseState | None:
            row = queue.get_total_pause(connection)
            if row is None:
                return None
            active = run_history.count_active(connection)
            return PauseState(
                row=row,
                running=active.get(RunStatus.RUNNING, 0) + active.get(RunStatus.NOT_STARTED, 0),
                queued=active.get(RunStatus.QUEUED, 0),
                skipped_starts=sum(starts.count_skipped(connection, row.paused_at).values()),
            )

        return await self._database.read(describe)

    async def pause(self, reason: str | None, until: datetime | None, actor: Actor) -> None:
        """Pause everything: no root run starts on any server after this has returned; active ones go on.

        A second pause replaces actor, reason and end of the first. Raises BadRequestError without a reason.
        """
        if reason is None or len(reason) < _SHORTEST_REASON:
            raise BadRequestError(f"reason: say why everything is paused, in {_SHORTEST_REASON} characters or more")
        now = self._now()

        def work(connection: WriteConnection) -> None:
            _lock(connection)
            before = queue.get_total_pause(connection)
            since = now if before is None else before.paused_at
            row = TotalPauseRow(paused_at=since, paused_by=actor.label, reason=reason, until=until)
            queue.put_total_pause(connection, row)
            _publish(connection, actor, _change(Action.PAUSE_SET, before, _values(row)), now)

        await self._database.write(work)
        self._signal.notify()  # so that the queues know when it ends
        _log.info("everything was paused by %s: %s", actor.label or "unknown", reason)

    async def unpause(self, actor: Actor) -> EndedPause:
        """End the pause; raises NotRunningError without one."""
        now = self._now()

        def work(connection: WriteConnection) -> EndedPause:
            _lock(connection)
            before = queue.get_total_pause(connection)
            if before is None:
                raise NotRunningError("nothing is paused as a whole; single queues and DAGs are resumed by their names")
            skipped = starts.count_skipped(connection, before.paused_at)
            queue.remove_total_pause(connection)
            after = {"skippedStarts": sum(skipped.values())}
            _publish(connection, actor, _change(Action.PAUSE_END, before, after), now)
            minute = before.paused_at.replace(second=0, microsecond=0)
            return EndedPause(first=minute, ended=now, skipped=skipped)

        ended = await self._database.write(work)
        self._signal.notify()
        _log.info("the pause of everything was ended by %s", actor.label or "unknown")
        return ended


def _lock(connection: WriteConnection) -> None:
    """Wait for the commits that start runs on other servers, and let the next ones wait for this one."""
    run_writes.lock_names(connection, {run_writes.PAUSE})


def _publish(connection: WriteConnection, actor: Actor, change: AuditAction, at: datetime) -> None:
    audit.add(connection, actor.entry(change, at))
    changes.add_queue_changes(connection, ["", *queue.find_queues(connection)])


def _change(action: Action, before: TotalPauseRow | None, after: Values) -> AuditAction:
    was = None if before is None else _values(before)
    return AuditAction(action=action, kind="pause", name="everything", before=was, after=after)


def _values(row: TotalPauseRow) -> dict[str, str | None]:
    return {"reason": row.reason, "until": None if row.until is None else row.until.isoformat()}
