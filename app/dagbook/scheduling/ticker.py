"""One tick of the schedules: starts, stops and restarts what is due, and records what is skipped with the reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from time import monotonic

import msgspec

from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import dags, schedules
from dagbook.db.repositories.batches import starts
from dagbook.db.repositories.dags import DagRow
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
from dagbook.definitions.timetable import ScheduledDag, Timetable, zone_at
from dagbook.engine.admission import Pause
from dagbook.engine.status import RunStatus
from dagbook.errors import AppError, MaxRunReachedError, UnavailableError
from dagbook.runs.service.run_service import SlotTakenError
from dagbook.runs.service.scheduled_runs import ScheduledRuns, started_at
from dagbook.runs.store.queue_head import read_total_pause
from dagbook.scheduling.due import (
    Catchup,
    Firing,
    Latest,
    TimeWindow,
    floor_minute,
    plan,
    predates_dag,
    resume,
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

        def read(connection: ReadConnection) -> tuple[Pause | None, list[SlotKey]]:
            """Return the pause of everything; without one, the starts of the last one that may be made up."""
            pause = read_total_pause(connection)
            return pause, [] if pause is not None else schedules.find_pending(connection)

        pause, pending = await self._database.read(read)
        found = await self._find_due(window, pending)
        resumed = {_slot(one.timed, each).key for one in found for each in one.firings if each.resumed}
        if dropped := [key for key in pending if key not in resumed]:
            # Before the latest of them starts: else the one before would be the latest after a crash.
            await self._database.write(schedules.drop_pending, dropped)
        outcomes = await self._handle(found[::-1] if from_end else found, now, pause)

        def store(connection: WriteConnection) -> None:
            schedules.skip(connection, outcomes)
            schedules.set_mark(connection, window.until)
            if window.until.minute == 0:
                schedules.remove_before(connection, window.until - _RETENTION)

        await self._database.write(store)
        self._last = window.until

    async def _find_due(self, window: TimeWindow, pending: Collection[SlotKey]) -> list[_DueDag]:
        timed = await self._timetable.read()
        zone = self._timetable.zone

        def plan_all() -> list[_DueDag]:
            found = []
            for one in timed:
                policy = "none" if one.dag.suspended else one.dag.catchup or "none"  # a suspended DAG misses nothing
                seconds = one.dag.catchup_window_seconds or 0
                catchup = Catchup(policy=policy, window=timedelta(seconds=seconds), since=one.dag.updated_at)
                planned = plan(one.timing, catchup, window, zone)
                firings = [each for each in planned if not predates_dag(each, one.dag.created_at)]
                suspended = [key.minute for key in pending if key.dag == one.dag.id]
                found.append(_DueDag(one, [*resume(suspended, firings, catchup, window.until), *firings]))
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
            _DueDag(
                one.timed,
                [each for each in one.firings if each.resumed or _slot(one.timed, each).key not in handled],
            )
            for one in found
        ]

    async def _handle(self, found: Iterable[_DueDag], now: datetime, pause: Pause | None) -> list[SlotOutcome]:
        done = await asyncio.gather(
            *(self._handle_dag(due_dag, now, pause) for due_dag in found), return_exceptions=True
        )
        for error in done:
            if isinstance(error, BaseException):
                raise error
        return [outcome for outcomes in done if isinstance(outcomes, list) for outcome in outcomes]

    async def _handle_dag(self, due_dag: _DueDag, now: datetime, pause: Pause | None) -> list[SlotOutcome]:
        suspended, firings = self._suspend(due_dag, pause)
        async with self._slots:
            outcomes = [await self._fire(due_dag.timed, firing, now) for firing in firings]
        return [*suspended, *(outcome for outcome in outcomes if outcome is not None)]

    def _suspend(self, due_dag: _DueDag, pause: Pause | None) -> tuple[list[SlotOutcome], Sequence[Firing]]:
        """Return the outcomes of what is due and does not happen, since the DAG or everything is paused, and the rest.

        A pause of everything suspends no stop. Its starts are made up at its end, if the setting of the DAG says so.
        """
        timed, firings = due_dag.timed, due_dag.firings
        if timed.dag.suspended:
            by = f" by {timed.dag.suspended_by}" if timed.dag.suspended_by else ""
            reason = f"the DAG is suspended{by}{f': {timed.dag.suspend_reason}' if timed.dag.suspend_reason else ''}"
            due = [each for each in firings if not each.missed and not each.made_up]
            return [self._outcome(timed, firing, SUSPENDED, reason) for firing in due], ()
        if pause is None:
            return [], firings
        catches_up = (timed.dag.catchup or "none") != "none"
        outcomes, rest = [], []
        for firing in firings:
            if firing.missed or firing.kind == schedules.STOP:
                rest.append(firing)
            else:
                kept = msgspec.structs.replace(firing, made_up=catches_up and firing.kind == schedules.START)
                outcomes.append(self._outcome(timed, kept, SUSPENDED, pause.describe()))
        return outcomes, rest

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
        except (MaxRunReachedError, UnavailableError) as error:  # the latter: everything was paused just now
            outcome: SlotResult = SUSPENDED if isinstance(error, UnavailableError) else SKIPPED
            return self._outcome(timed, firing, outcome, error.message)
        except AppError as error:
            return self._outcome(timed, firing, FAILED, error.message)
        except Exception as error:  # noqa: BLE001 - an error of one DAG must not stop the others
            _log.exception("the schedule of DAG %s failed", timed.dag.file_name)
            return self._outcome(timed, firing, FAILED, f"internal error: {error}")

    async def _try(self, timed: ScheduledDag, firing: Firing, now: datetime) -> SlotOutcome | None:
        recheck = monotonic() >= self._head_start_until and not firing.resumed
        state = await self._database.read_inline(_read_state, _slot(timed, firing).key, recheck=recheck)
        if state is None:
            return None  # the DAG was deleted meanwhile, or another server was faster
        dag_name = state.dag.dag_name
        zone = zone_at(timed.timing.start, firing.minute, self._timetable.zone)
        slot = msgspec.structs.replace(_slot(timed, firing), file_name=state.dag.file_name, zone=zone)
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
    return Slot(key=key, file_name=timed.dag.file_name, catch_up=firing.made_up, pending=firing.resumed)


def _read_state(connection: ReadConnection, key: SlotKey, *, recheck: bool) -> _DagState | None:
    """Read the state of a DAG in one transaction: with 500 DAGs due at once, each transaction counts."""
    dag = dags.get_by_key(connection, key.dag)
    if dag is None or (recheck and schedules.is_handled(connection, key)):
        return None
    run = starts.get_newest_live(connection, dag.dag_name) if key.kind == schedules.START else None
    if run is None:
        return _DagState(dag, None)
    own = (run.dag_id, run.kind) == (key.dag, key.kind)
    latest = Latest(
        running=run.status == RunStatus.RUNNING,
        succeeded=run.status == RunStatus.SUCCEEDED,
        started_at=started_at(run),
        scheduled_for=run.minute if own else None,
    )
    return _DagState(dag, latest)
