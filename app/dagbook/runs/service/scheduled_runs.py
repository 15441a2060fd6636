"""Starts of schedules, once per minute (runtime 23.4).

Each change is one commit with the row of that minute in ``schedule_slots``, so that two servers never both apply it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec

from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import schedules
from dagbook.db.repositories.accounts import principals
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow, StopRequest
from dagbook.db.repositories.schedules import RestartingRow, Slot, SlotKey, SlotOutcome
from dagbook.db.types import SlotResult
from dagbook.engine.admission import Admission
from dagbook.engine.status import RunStatus
from dagbook.errors import AppError
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.model import StartOptions
from dagbook.runs.service.run_service import RunService, SlotTakenError

_log = logging.getLogger(__name__)
TRIGGER = "schedule"
_NOT_RUNNING = "its newest run is not running"


class _StopRequests(msgspec.Struct, frozen=True):
    """Stop requests stored in one commit; none, and not ``taken``, if another server has claimed the slot."""

    requests: tuple[StopRequest, ...] = ()
    taken: bool = True


class ScheduledRuns:
    """Use cases that start, stop and restart runs for the scheduler."""

    def __init__(self, database: Database, run_service: RunService, active_runs: ActiveRuns, now: Clock) -> None:
        self._database = database
        self._run_service = run_service
        self._active_runs = active_runs
        self._now = now

    async def start(self, slot: Slot, dag: DagRow) -> None:
        """Start a stored DAG, or queue the run at a limit; raises AppError and SlotTakenError."""
        start = StartOptions(trigger=TRIGGER, admission=Admission.SCHEDULE, slot=slot, scheduled_at=slot.scheduled_at)
        await self._run_service.start_scheduled(dag, start)

    async def catch_up(self, slot: Slot) -> None:
        """Enqueue a missed start behind the queued runs; raises AppError and SlotTakenError."""
        dag = await self._run_service.get_dag(slot.file_name)
        start = StartOptions(trigger=TRIGGER, admission=Admission.UNLIMITED, slot=slot, scheduled_at=slot.scheduled_at)
        await self._run_service.enqueue_stored(dag, start)

    async def stop(self, slot: Slot, dag_name: str) -> None:
        """Request all running runs of a DAG to stop if its newest run is running; does nothing for a claimed slot."""

        def stop(connection: WriteConnection) -> _StopRequests:
            keys = schedules.find_running(connection, dag_name) if _newest_running(connection, dag_name) else []
            reason = f"{len(keys)} running" if keys else _NOT_RUNNING
            outcome: SlotResult = schedules.STOPPED if keys else schedules.SKIPPED
            return self._add_stop_requests(connection, SlotOutcome(slot, outcome, self._now(), reason), keys)

        self._notify_stops(await self._database.write(stop))

    async def start_restart(self, slot: Slot, dag_name: str) -> bool:
        """Request the newest run of a DAG to stop so that a new one can follow; returns False if none is to follow."""

        def stop_newest(connection: WriteConnection) -> _StopRequests:
            newest = _newest_running(connection, dag_name)
            restarting = {row.restarts for row in schedules.find_restarting(connection)}
            if newest is None or newest.id in restarting:
                reason = _NOT_RUNNING if newest is None else "it is being restarted already"
                skipped = SlotOutcome(slot, schedules.SKIPPED, self._now(), reason)
                return self._add_stop_requests(connection, skipped, [])
            outcome = SlotOutcome(slot, schedules.RESTARTING, self._now(), restarts=newest.id)
            return self._add_stop_requests(connection, outcome, [newest.id])

        stops = await self._database.write(stop_newest)
        self._notify_stops(stops)
        return bool(stops.requests)

    def _add_stop_requests(self, connection: WriteConnection, outcome: SlotOutcome, keys: list[int]) -> _StopRequests:
        if not schedules.claim(connection, outcome):
            return _StopRequests(taken=False)
        return _StopRequests(tuple(runs.add_stop_request(connection, key, None, outcome.at) for key in keys))

    def _notify_stops(self, stops: _StopRequests) -> None:
        for request in stops.requests:
            self._active_runs.notify_stop(request)

    async def finish_restarts(self) -> bool:
        """Start the new run of each restart whose old run has finished; returns whether restarts are still pending."""
        pending = await self._database.read_inline(schedules.find_restarting)
        return any([await self._finish_restart(row) for row in pending])

    async def _finish_restart(self, row: RestartingRow) -> bool:
        key = SlotKey(row.dag_id, row.kind, row.minute)
        slot = Slot(key=key, file_name=row.file_name, awaiting_restart=True)
        try:
            return await self._start_successor(slot, row.restarts)
        except SlotTakenError:
            return False
        except DatabaseUnavailable:
            raise
        except AppError as error:
            await self._fail_slot(slot, error.message)
        except Exception as error:  # noqa: BLE001 - one restart that fails must not block the others
            _log.exception("the restart of %s failed", slot.file_name)
            await self._fail_slot(slot, f"the run could not be started: {error}")
        return False

    async def _fail_slot(self, slot: Slot, reason: str) -> None:
        failed = SlotOutcome(slot, schedules.FAILED, self._now(), reason)
        await self._database.write(lambda connection: schedules.finish(connection, failed))

    async def _start_successor(self, slot: Slot, key: int) -> bool:
        """Start the new run of a restart; returns True if it has to wait for the old run or the restart delay."""
        run = await self._database.read_inline(lambda connection: runs.get_complete(connection, key))
        if run is None:
            await self._fail_slot(slot, "the run to restart was deleted")
            return False
        if not run.status.is_final or run.finished_at is None:
            return True
        definition = await self._run_service.definition_of(run)
        pause = timedelta(seconds=max(definition.dag.restart_wait_seconds, 0))
        if self._now() < run.finished_at + pause:
            return True
        # Its params may be those of the person who started it.
        principal = await self._database.read_inline(lambda connection: principals.get_of_run(connection, key))
        start = StartOptions(trigger=TRIGGER, admission=Admission.UNLIMITED, slot=slot, on_behalf_of=principal)
        await self._run_service.start_from_run(run, start)
        return False


def _newest_running(connection: ReadConnection, dag_name: str) -> RunRow | None:
    newest = runs.get_latest(connection, dag_name)
    return newest if newest is not None and newest.status == RunStatus.RUNNING else None


def started_at(run: RunRow) -> datetime:
    """Return the start of a run, or its queue time if that was earlier."""
    known = [at for at in (run.started_at, run.queued_at) if at is not None]
    return min(known, default=run.created_at)
