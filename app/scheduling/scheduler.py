"""Wakes at the beginning of each minute, and tells the others that this server does (runtime 23.3 and 23.7).

No server leads: each looks at every minute, and the row of a slot decides who sees to it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import msgspec
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]

from app.clock import Clock
from app.db.database import Database
from app.db.failure import DatabaseUnavailable
from app.db.repositories import services
from app.runs.ground import Identity
from app.runs.timely import TimelyRuns
from app.scheduling.colleagues import ahead_of, may_live
from app.scheduling.tick import HEAD_START_SECONDS, Ticker

_log = logging.getLogger(__name__)
logging.getLogger("apscheduler").setLevel(logging.WARNING)  # each minute would be two lines
_OUTAGE_SECONDS = 1.0
_BEAT_SECONDS, _LEASE_SECONDS = 10.0, 30.0
_FOLLOW_SECONDS = 1.0  # how often is looked for runs that are over, and are to be followed by others
_GLIMPSE_SECONDS = 0.1
_FAR = timedelta(seconds=61)


class Scheduler:
    """Ticks for one server."""

    def __init__(
        self,
        database: Database,
        ticker: Ticker,
        timely: TimelyRuns,
        identity: Identity,
        now: Clock,
        lost: Callable[[], None],
    ) -> None:
        self._database = database
        self._ticker = ticker
        self._timely = timely
        self._identity = identity
        self._now = now
        self._lost = lost  # called when another scheduler of this machine was found dead
        self._clock = AsyncIOScheduler(timezone=UTC)
        self._job: Any = None
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._beaten = monotonic()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register as a scheduler, handle the minute that it is, and begin to tick; starting twice is harmless."""
        if self._watch is not None:
            return
        self._stopping.clear()
        await self._database.write(lambda connection: services.add(connection, self._service()))
        self._job = self._clock.add_job(
            self._tick_until_done,
            CronTrigger(second=0, timezone=UTC),
            next_run_time=datetime.now(UTC),
            coalesce=True,
            misfire_grace_time=None,
            max_instances=1,
        )
        self._clock.start()
        self._watch = asyncio.create_task(self._watch_on(), name="scheduler")

    async def stop(self) -> None:
        """Finish the tick that is under way, and tick no more; stopping without a start is harmless."""
        if self._watch is None:
            return
        self._stopping.set()
        self._hurry.set()
        self._clock.pause()
        async with self._turn:
            self._clock.shutdown(wait=False)
        await self._watch
        self._watch = None
        now = self._now()
        with suppress(DatabaseUnavailable):
            await self._database.write(lambda connection: services.stop(connection, self._id, now, now))

    async def tick(self, at: datetime | None = None, *, from_end: bool = False) -> None:
        """See to everything that is due up to an instant, by default now; raises DatabaseUnavailable."""
        async with self._turn:
            await self._ticker.tick(at, from_end=from_end)
        if self._ticker.restarting:
            self._hurry.set()

    async def follow(self) -> None:
        """Start what was to follow runs that are over by now."""
        self._ticker.restarting = await self._timely.finish_restarts()

    @property
    def _id(self) -> str:
        return f"{self._identity.id}-scheduler"

    def _service(self) -> dict[str, Any]:
        now = self._now()
        row = msgspec.structs.asdict(self._identity) | {"id": self._id, "kind": services.SCHEDULER}
        return row | {"started_at": now, "heartbeat_at": now, "lease_until": now + timedelta(seconds=_LEASE_SECONDS)}

    async def _tick_until_done(self) -> None:
        while not self._stopping.is_set():
            try:
                is_second = await self._let_others_go_first()
                await self.tick(from_end=is_second)
            except DatabaseUnavailable as error:
                _log.warning("schedules have to wait: %s", error)
                await self._rest(self._stopping, _OUTAGE_SECONDS)
            except Exception:  # noqa: BLE001 - the next minute must come, whatever this one met
                _log.exception("a tick of the schedules failed")
                return
            else:
                return

    async def _let_others_go_first(self) -> bool:
        """Give the first of several servers a head start; returns whether there is one.

        The rows of the slots decide all the same; but without it every server would run the commands in the params of
        each DAG, for one run. One that dies meanwhile needs none any more.
        """
        now = self._now()
        found = await self._database.read(lambda connection: services.find(connection, services.SCHEDULER, now))
        ahead = ahead_of(self._id, found, now)
        for _ in range(round(HEAD_START_SECONDS / _GLIMPSE_SECONDS) if ahead else 0):
            if self._stopping.is_set():
                break
            if not any(may_live(row, self._identity) for row in ahead):
                self._lost()
                break
            await self._rest(self._stopping, _GLIMPSE_SECONDS)
        return bool(ahead)

    # -- between the ticks -----------------------------------------------------------------------------------

    async def _watch_on(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._look_around()
            except DatabaseUnavailable as error:
                _log.warning("the scheduler's heartbeat has to wait: %s", error)
            except Exception:  # noqa: BLE001 - the beat must go on, whatever one round met
                _log.exception("a round of the scheduler failed")
            await self._rest(self._hurry, _FOLLOW_SECONDS if self._ticker.restarting else _BEAT_SECONDS)

    async def _look_around(self) -> None:
        self._hurry.clear()
        self._wind()
        if monotonic() - self._beaten >= _BEAT_SECONDS:
            now = self._now()
            until = now + timedelta(seconds=_LEASE_SECONDS)
            await self._database.write(lambda connection: services.renew(connection, self._id, now, until))
            self._beaten = monotonic()
        await self.follow()

    def _wind(self) -> None:
        """Wake at the next minute when the clock was set back: the library would sleep until the old one."""
        now = datetime.now(UTC)
        due = self._job.next_run_time if self._job is not None else None
        if self._job is not None and due is not None and due > now + _FAR:
            self._job.reschedule(CronTrigger(second=0, timezone=UTC))

    async def _rest(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
