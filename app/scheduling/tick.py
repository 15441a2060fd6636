"""One look at the clock: what is due is started, stopped or restarted, and what is not is noted with the reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from time import monotonic

import msgspec

from app.clock import Clock
from app.db.database import Database, ReadConnection, WriteConnection
from app.db.failure import DatabaseUnavailable
from app.db.repositories import dags, runs, schedules
from app.db.repositories.reading import Row
from app.db.repositories.schedules import FAILED, MISSED, SKIPPED, SUSPENDED, Settled, Slot, SlotKey
from app.definitions.timetable import ScheduledDag, Timetable
from app.engine.status import RunStatus
from app.errors import AppError, MaxRunReachedError
from app.runs.launch import SlotTakenError
from app.runs.timely import TimelyRuns, began_at
from app.scheduling.due import Catchup, Firing, Latest, Stretch, cut, plan, stretch, why_not

_log = logging.getLogger(__name__)
HEAD_START_SECONDS = 2.0  # of the first of several servers
_AT_ONCE = 32  # DAGs that are seen to at a time; one of them may run commands for its params
_KEPT = timedelta(days=90)
_MISSED = "no server ran then; see the catchup setting of the DAG"


class _Work(msgspec.Struct, frozen=True):
    """What is due of one DAG, in order."""

    timed: ScheduledDag
    firings: Sequence[Firing]


class _Seen(msgspec.Struct, frozen=True):
    """A DAG as it is when its turn comes, and its newest run if that matters."""

    dag: Row
    latest: Latest | None


class Ticker:
    """Looks at the clock for one server; any number of servers may do so on one database."""

    def __init__(self, database: Database, timetable: Timetable, timely: TimelyRuns, now: Clock) -> None:
        self._database = database
        self._timetable = timetable
        self._timely = timely
        self._now = now
        self._last: datetime | None = None
        self._alone_until = 0.0  # by the monotonic clock: before it no other server does the same
        self._free = asyncio.Semaphore(_AT_ONCE)
        self.restarting = True  # whether runs may be waited for, which others may follow

    async def tick(self, at: datetime | None = None, *, from_end: bool = False) -> None:
        """See to everything that is due up to an instant, by default now; raises DatabaseUnavailable.

        Of two servers that do so at once one begins ``from_end``, so that they share the work and do not both do all.
        What could not be seen to before that comes again with the next tick, however late.
        """
        self._alone_until = 0.0 if from_end else monotonic() + HEAD_START_SECONDS
        now = at or self._now()
        passed = stretch(self._last, await self._mark(), now)
        if passed is None:
            return
        found = await self._find_work(passed)
        notes = await self._see_to(found[::-1] if from_end else found, now)
        await self._database.write(lambda connection: _finish(connection, notes, passed.until))
        self._last = passed.until

    async def _mark(self) -> datetime | None:
        return None if self._last is not None else await self._database.read(schedules.get_mark)

    async def _find_work(self, passed: Stretch) -> list[_Work]:
        timed = await self._timetable.read()
        zone = self._timetable.zone

        def work() -> list[_Work]:
            return [_Work(one, plan(one.timing, _catchup(one.dag), passed, zone)) for one in timed]

        found = work() if passed.is_one_minute else await asyncio.to_thread(work)
        return await self._without_handled([one for one in found if one.firings])

    async def _without_handled(self, found: Sequence[_Work]) -> list[_Work]:
        """Leave out what another server, or this one before it was killed, has seen to."""
        minutes = [firing.minute for work in found for firing in work.firings]
        if not minutes:
            return []
        after, until = min(minutes) - timedelta(minutes=1), max(minutes)
        handled = await self._database.read(lambda connection: schedules.find_handled(connection, after, until))
        return [_left(work, handled) for work in found]

    async def _see_to(self, found: Iterable[_Work], now: datetime) -> list[Settled]:
        done = await asyncio.gather(*(self._see_to_dag(work, now) for work in found), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error
        return [note for notes in done if isinstance(notes, list) for note in notes]

    async def _see_to_dag(self, work: _Work, now: datetime) -> list[Settled]:
        if work.timed.dag["suspended"]:
            return [
                self._note(work.timed, firing, SUSPENDED, "the DAG is suspended")
                for firing in work.firings
                if not firing.missed and not firing.made_up
            ]
        async with self._free:
            notes = [await self._do(work.timed, firing, now) for firing in work.firings]
        return [note for note in notes if note is not None]

    async def _do(self, timed: ScheduledDag, firing: Firing, now: datetime) -> Settled | None:
        """Do what is due; returns what is to be noted of it, if it is not noted yet."""
        if firing.missed:
            return self._note(timed, firing, MISSED, _MISSED)
        try:
            return await self._try(timed, firing, now)
        except SlotTakenError:
            return None
        except DatabaseUnavailable:
            raise
        except MaxRunReachedError as error:
            return self._note(timed, firing, SKIPPED, error.message)
        except AppError as error:
            return self._note(timed, firing, FAILED, error.message)
        except Exception as error:  # noqa: BLE001 - one DAG must not keep the others from their times
            _log.exception("DAG %s could not be seen to by its schedule", timed.dag["file_name"])
            return self._note(timed, firing, FAILED, f"it could not be done: {error}")

    async def _try(self, timed: ScheduledDag, firing: Firing, now: datetime) -> Settled | None:
        shared = monotonic() >= self._alone_until
        seen = await self._database.glance(
            lambda connection: _look(connection, _slot(timed, firing).key, shared=shared)
        )
        if seen is None:
            return None  # it was deleted just now, or another server was faster
        dag_name = seen.dag["dag_name"]
        slot = msgspec.structs.replace(_slot(timed, firing), file_name=seen.dag["file_name"])
        match firing.kind:
            case schedules.STOP:
                await self._timely.stop(slot, dag_name)
            case schedules.RESTART:
                self.restarting |= await self._timely.begin_restart(slot, dag_name)
            case _ if firing.made_up:
                await self._timely.make_up(slot)
            case _:
                reason = why_not(timed.timing, firing.minute, seen.latest, now, self._timetable.zone)
                if reason:
                    return self._note(timed, firing, SKIPPED, reason)
                await self._timely.start(slot, seen.dag)
        return None

    def _note(self, timed: ScheduledDag, firing: Firing, outcome: str, reason: str) -> Settled:
        return Settled(_slot(timed, firing), outcome, self._now(), reason)


def _slot(timed: ScheduledDag, firing: Firing) -> Slot:
    key = SlotKey(timed.dag["id"], firing.kind, firing.minute)
    return Slot(key=key, file_name=timed.dag["file_name"], made_up=firing.made_up)


def _left(work: _Work, handled: set[SlotKey]) -> _Work:
    firings = [firing for firing in work.firings if _slot(work.timed, firing).key not in handled]
    return _Work(work.timed, firings)


def _catchup(dag: Row) -> Catchup:
    """Give what is set for a DAG; a suspended one has missed nothing."""
    policy = "none" if dag["suspended"] else dag["catchup"] or "none"
    window = timedelta(seconds=dag["catchup_window_seconds"] or 0)
    return Catchup(policy=policy, window=window, since=dag["updated_at"])


def _look(connection: ReadConnection, key: SlotKey, *, shared: bool) -> _Seen | None:
    """Read all that decides about a DAG in one transaction: with 500 of them due at once, each one counts."""
    dag = dags.get_by_key(connection, key.dag)
    if dag is None or (shared and schedules.is_handled(connection, key)):
        return None
    return _Seen(dag, _read_latest(connection, dag["dag_name"], key) if key.kind == schedules.START else None)


def _read_latest(connection: ReadConnection, dag_name: str, key: SlotKey) -> Latest | None:
    run = runs.get_latest(connection, dag_name)
    if run is None:
        return None
    starter = schedules.get_starter(connection, run["id"])
    own = starter is not None and (starter.dag, starter.kind) == (key.dag, key.kind)
    return Latest(
        running=run["status"] == RunStatus.RUNNING,
        succeeded=run["status"] == RunStatus.SUCCEEDED,
        began=began_at(run),
        started_for=starter.minute if starter is not None and own else None,
    )


def _finish(connection: WriteConnection, notes: Sequence[Settled], minute: datetime) -> None:
    schedules.note(connection, notes)
    schedules.set_mark(connection, minute)
    if minute == cut(minute).replace(minute=0):
        schedules.remove_before(connection, minute - _KEPT)
