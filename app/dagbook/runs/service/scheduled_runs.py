"""Use cases of schedules: start, stop and restart a stored DAG for one minute, and never twice (runtime 23.4).

Each is one commit together with the row of that minute in ``schedule_slots``.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec

from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import schedules
from dagbook.db.repositories.rows import Row
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import StopRequest
from dagbook.db.repositories.schedules import Slot, SlotKey, SlotOutcome
from dagbook.engine.status import RunStatus
from dagbook.errors import AppError
from dagbook.runs.options import StartOptions
from dagbook.runs.ports import RunControl
from dagbook.runs.service.run_service import RunService, SlotTakenError

_log = logging.getLogger(__name__)
TRIGGER = "schedule"
_NOT_RUNNING = "its newest run is not running"


class _StopRequests(msgspec.Struct, frozen=True):
    """What was asked of runs in one commit; nothing when somebody else has seen to the slot."""

    requests: tuple[StopRequest, ...] = ()
    taken: bool = True


class ScheduledRuns:
    """What schedules may ask of runs."""

    def __init__(self, database: Database, run_service: RunService, run_control: RunControl, now: Clock) -> None:
        self._database = database
        self._run_service = run_service
        self._run_control = run_control
        self._now = now

    async def start(self, slot: Slot, dag: Row) -> None:
        """Start a stored DAG, or let the run wait for room; raises AppError, and SlotTakenError."""
        await self._run_service.start_scheduled(dag, StartOptions(trigger=TRIGGER, patient=True, slot=slot))

    async def catch_up(self, slot: Slot) -> None:
        """Let a missed start wait in its queue, behind what waits there; raises as ``start`` does."""
        await self._run_service.enqueue_stored(slot.file_name, StartOptions(trigger=TRIGGER, limited=False, slot=slot))

    async def stop(self, slot: Slot, dag_name: str) -> None:
        """Ask all running runs of a DAG to stop if the newest one runs; harmless when somebody else has."""
        asked = await self._database.write(lambda connection: self._stop(connection, slot, dag_name))
        self._notify_stops(asked)

    def _stop(self, connection: WriteConnection, slot: Slot, dag_name: str) -> _StopRequests:
        keys = schedules.find_running(connection, dag_name) if _newest_running(connection, dag_name) else []
        reason = f"{len(keys)} running" if keys else _NOT_RUNNING
        outcome = schedules.STOPPED if keys else schedules.SKIPPED
        return self._add_stop_requests(connection, SlotOutcome(slot, outcome, self._now(), reason), keys)

    async def start_restart(self, slot: Slot, dag_name: str) -> bool:
        """Ask the newest run of a DAG to stop so that another follows it; False when there is nothing to wait for."""
        asked = await self._database.write(lambda connection: self._start_restart(connection, slot, dag_name))
        self._notify_stops(asked)
        return bool(asked.requests)

    def _start_restart(self, connection: WriteConnection, slot: Slot, dag_name: str) -> _StopRequests:
        newest = _newest_running(connection, dag_name)
        under_way = {row["restarts"] for row in schedules.find_restarting(connection)}
        if newest is None or newest["id"] in under_way:
            reason = _NOT_RUNNING if newest is None else "it is being restarted already"
            return self._add_stop_requests(connection, SlotOutcome(slot, schedules.SKIPPED, self._now(), reason), [])
        settled = SlotOutcome(slot, schedules.RESTARTING, self._now(), restarts=newest["id"])
        return self._add_stop_requests(connection, settled, [newest["id"]])

    def _add_stop_requests(self, connection: WriteConnection, settled: SlotOutcome, keys: list[int]) -> _StopRequests:
        if not schedules.claim(connection, settled):
            return _StopRequests(taken=False)
        return _StopRequests(tuple(runs.add_stop_request(connection, key, None, settled.at) for key in keys))

    def _notify_stops(self, asked: _StopRequests) -> None:
        for request in asked.requests:
            self._run_control.notify_stop(request)

    async def finish_restarts(self) -> bool:
        """Start what was to follow runs that are over by now; returns whether others are still to come."""
        waiting = await self._database.read_inline(schedules.find_restarting)
        return any([await self._finish_restart(row) for row in waiting])

    async def _finish_restart(self, row: Row) -> bool:
        key = SlotKey(row["dag_id"], row["kind"], row["minute"])
        slot = Slot(key=key, file_name=row["file_name"], awaiting_restart=True)
        try:
            return await self._follow(slot, row["restarts"])
        except SlotTakenError:
            return False
        except DatabaseUnavailable:
            raise
        except AppError as error:
            await self._give_up(slot, error.message)
        except Exception as error:  # noqa: BLE001 - one run that cannot be begun must not hold up the others
            _log.exception("the restart of %s cannot be finished", slot.file_name)
            await self._give_up(slot, f"the run could not be started: {error}")
        return False

    async def _give_up(self, slot: Slot, reason: str) -> None:
        failed = SlotOutcome(slot, schedules.FAILED, self._now(), reason)
        await self._database.write(lambda connection: schedules.finish(connection, failed))

    async def _follow(self, slot: Slot, key: int) -> bool:
        """Start what follows a run; returns whether it has to wait."""
        run = await self._database.read_inline(lambda connection: runs.get_complete(connection, key))
        if run is None:
            await self._give_up(slot, "the run to be restarted was removed")
            return False
        if not RunStatus(run["status"]).is_final or run["finished_at"] is None:
            return True
        if self._now() < run["finished_at"] + await self._pause(run):
            return True
        await self._run_service.start_from_run(run, StartOptions(trigger=TRIGGER, limited=False, slot=slot))
        return False

    async def _pause(self, run: Row) -> timedelta:
        definition = await self._run_service.definition_of(run)
        return timedelta(seconds=max(definition.dag.restart_wait_seconds, 0))


def _newest_running(connection: ReadConnection, dag_name: str) -> Row | None:
    newest = runs.get_latest(connection, dag_name)
    return newest if newest is not None and newest["status"] == RunStatus.RUNNING else None


def started_at(run: Row) -> datetime:
    """Give the start of a run, or its queue time when that was earlier."""
    known = [at for at in (run["started_at"], run["queued_at"]) if at is not None]
    began: datetime = min(known, default=run["created_at"])
    return began
