"""One tick of the schedules: starts, stops and restarts what is due, and records what is skipped with the reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from time import monotonic

import msgspec

from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import dags, schedules
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.schedules import (
    FAILED,
    MISSED,
    SKIPPED,
    SUSPENDED,
    Slot,
    SlotKey,
    SlotOutcome,
)
from dagbook.db.types import SlotResult
from dagbook.definitions.timetable import ScheduledDag, Timetable
from dagbook.engine.status import RunStatus
from dagbook.errors import AppError, MaxRunReachedError
from dagbook.runs.service.run_service import SlotTakenError
from dagbook.runs.service.scheduled_runs import ScheduledRuns, started_at
from dagbook.scheduling.due import (
    Catchup,
    Firing,
    Latest,
    TimeWindow,
    floor_minute,
    plan,
    predates_dag,
    skip_reason,
    time_window,
)

_log = logging.getLogger(__name__)
HEAD_START_SECONDS = 2.0  # before other servers handle the same minute
_MAX_CONCURRENT = 32  # DAGs handled at a time; one of them may run commands for its params
_RETENTION = timedelta(days=90)
_MISSED = "no server ran then; see the catchup setting of the DAG"


class _DueDag(msgspec.Struct, frozen=True):
    """A DAG and its due firings, in order."""

    timed: ScheduledDag
    firings: Sequence[Firing]


class _DagState(msgspec.Struct, frozen=True):
    """A DAG at the time of the firing, and its newest run if the firing depends on it."""

    dag: DagRow
    latest: Latest | None


class Ticker:
    """Handles due firings; any number of servers may do so on one database."""

    def __init__(self, database: Database, timetable: Timetable, timely: ScheduledRuns, now: Clock) -> None:
        self._database = database
        self._timetable = timetable
        self._timely = timely
        self._now = now
        self._last: datetime | None = None
        self._head_start_until = 0.0  # monotonic time until which no other server handles the minute
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self.restarting = True  # whether there may be runs that are stopped for a restart

    @property
    def is_behind(self) -> bool:
        """Whether the current minute is not handled."""
        return self._last != floor_minute(self._now())

    async def tick(self, at: datetime | None = None, *, from_end: bool = False) -> None:
        """Handle all firings up to an instant, by default now. Raises DatabaseUnavailable.

        The second of two servers starts ``from_end``, so that they share the work. After an error the next tick
        handles the rest, however late.
        """
        self._head_start_until = 0.0 if from_end else monotonic() + HEAD_START_SECONDS
        now = at or self._now()
        mark = None if self._last is not None else await self._database.read(schedules.get_mark)
        window = time_window(self._last, mark, now)
        if window is None:
            return
        found = await self._find_due(window)
        outcomes = await self._handle(found[::-1] if from_end else found, now)

        def store(connection: WriteConnection) -> None:
            schedules.skip(connection, outcomes)
            schedules.set_mark(connection, window.until)
            if window.until.minute == 0:
                schedules.remove_before(connection, window.until - _RETENTION)

        await self._database.write(store)
        self._last = window.until

    async def _find_due(self, window: TimeWindow) -> list[_DueDag]:
        timed = await self._timetable.read()
        zone = self._timetable.zone

        def plan_all() -> list[_DueDag]:
            found = []
            for one in timed:
                policy = "none" if one.dag.suspended else one.dag.catchup or "none"  # a suspended DAG misses nothing
                seconds = one.dag.catchup_window_seconds or 0
                catchup = Catchup(policy=policy, window=timedelta(seconds=seconds), since=one.dag.updated_at)
                firings = plan(one.timing, catchup, window, zone)
                found.append(_DueDag(one, [each for each in firings if not predates_dag(each, one.dag.created_at)]))
            return found

        found = plan_all() if window.is_one_minute else await asyncio.to_thread(plan_all)
        return await self._without_handled([one for one in found if one.firings])

    async def _without_handled(self, found: Sequence[_DueDag]) -> list[_DueDag]:
        """Leave out firings that another server, or this one before it was killed, has handled."""
        minutes = [firing.minute for due_dag in found for firing in due_dag.firings]
        if not minutes:
            return []
        after, until = min(minutes) - timedelta(minutes=1), max(minutes)
        handled = await self._database.read(schedules.find_handled, after, until)
        return [
            _DueDag(one.timed, [firing for firing in one.firings if _slot(one.timed, firing).key not in handled])
            for one in found
        ]

    async def _handle(self, found: Iterable[_DueDag], now: datetime) -> list[SlotOutcome]:
        done = await asyncio.gather(*(self._handle_dag(due_dag, now) for due_dag in found), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error
        return [outcome for outcomes in done if isinstance(outcomes, list) for outcome in outcomes]

    async def _handle_dag(self, due_dag: _DueDag, now: datetime) -> list[SlotOutcome]:
        if due_dag.timed.dag.suspended:
            return [
                self._outcome(due_dag.timed, firing, SUSPENDED, "the DAG is suspended")
                for firing in due_dag.firings
                if not firing.missed and not firing.made_up
            ]
        async with self._slots:
            outcomes = [await self._fire(due_dag.timed, firing, now) for firing in due_dag.firings]
        return [outcome for outcome in outcomes if outcome is not None]

    async def _fire(self, timed: ScheduledDag, firing: Firing, now: datetime) -> SlotOutcome | None:
        """Handle a firing; returns its outcome unless that is stored already."""
        if firing.missed:
            return self._outcome(timed, firing, MISSED, _MISSED)
        try:
            return await self._try(timed, firing, now)
        except SlotTakenError:
            return None
        except DatabaseUnavailable:
            raise
        except MaxRunReachedError as error:
            return self._outcome(timed, firing, SKIPPED, error.message)
        except AppError as error:
            return self._outcome(timed, firing, FAILED, error.message)
        except Exception as error:  # noqa: BLE001 - an error of one DAG must not stop the others
            _log.exception("the schedule of DAG %s failed", timed.dag.file_name)
            return self._outcome(timed, firing, FAILED, f"internal error: {error}")

    async def _try(self, timed: ScheduledDag, firing: Firing, now: datetime) -> SlotOutcome | None:
        recheck = monotonic() >= self._head_start_until
        state = await self._database.read_inline(_read_state, _slot(timed, firing).key, recheck=recheck)
        if state is None:
            return None  # the DAG was deleted meanwhile, or another server was faster
        dag_name = state.dag.dag_name
        slot = msgspec.structs.replace(_slot(timed, firing), file_name=state.dag.file_name)
        match firing.kind:
            case schedules.STOP:
                await self._timely.stop(slot, dag_name)
            case schedules.RESTART:
                self.restarting |= await self._timely.start_restart(slot, dag_name)
            case _ if firing.made_up:
                await self._timely.catch_up(slot)
            case _:
                reason = skip_reason(timed.timing, firing.minute, state.latest, now, self._timetable.zone)
                if reason:
                    return self._outcome(timed, firing, SKIPPED, reason)
                await self._timely.start(slot, state.dag)
        return None

    def _outcome(self, timed: ScheduledDag, firing: Firing, outcome: SlotResult, reason: str) -> SlotOutcome:
        return SlotOutcome(_slot(timed, firing), outcome, self._now(), reason)


def _slot(timed: ScheduledDag, firing: Firing) -> Slot:
    key = SlotKey(timed.dag.id, firing.kind, firing.minute)
    return Slot(key=key, file_name=timed.dag.file_name, catch_up=firing.made_up)


def _read_state(connection: ReadConnection, key: SlotKey, *, recheck: bool) -> _DagState | None:
    """Read the state of a DAG in one transaction: with 500 DAGs due at once, each transaction counts."""
    dag = dags.get_by_key(connection, key.dag)
    if dag is None or (recheck and schedules.is_handled(connection, key)):
        return None
    run = runs.get_latest(connection, dag.dag_name) if key.kind == schedules.START else None
    if run is None:
        return _DagState(dag, None)
    starter = schedules.get_starter(connection, run.id)
    own = starter is not None and (starter.dag, starter.kind) == (key.dag, key.kind)
    latest = Latest(
        running=run.status == RunStatus.RUNNING,
        succeeded=run.status == RunStatus.SUCCEEDED,
        started_at=started_at(run),
        scheduled_for=starter.minute if starter is not None and own else None,
    )
    return _DagState(dag, latest)
