"""Ticks at the beginning of each minute, and keeps this server's lease as a scheduler (runtime 23.3 and 23.7).

There is no leader: every server ticks each minute, and the row of a slot decides which one handles it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import services
from dagbook.db.repositories.services import ServiceRow
from dagbook.runs.server_context import ServerIdentity
from dagbook.runs.service.scheduled_runs import ScheduledRuns
from dagbook.scheduling.ticker import HEAD_START_SECONDS, Ticker
from dagbook.unix import proc
from dagbook.unix.proc import ProcessId

if TYPE_CHECKING:
    from apscheduler.job import Job
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

_log = logging.getLogger(__name__)
logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it would log two lines a minute
_OUTAGE_SECONDS = 1.0
_HEARTBEAT_SECONDS, _LEASE_SECONDS = 10.0, 30.0
_RESTART_POLL_SECONDS = 1.0  # between polls for stopped runs to restart
_PEER_POLL_SECONDS = 0.1
_MAX_WAIT = timedelta(seconds=61)


class Scheduler:
    """Runs the ticks of one server."""

    def __init__(
        self,
        database: Database,
        ticker: Ticker,
        timely: ScheduledRuns,
        identity: ServerIdentity,
        now: Clock,
        on_peer_death: Callable[[], None],
    ) -> None:
        self._database = database
        self._ticker = ticker
        self._timely = timely
        self._identity = identity
        self._now = now
        self._on_peer_death = on_peer_death  # called when another scheduler of this machine is found dead
        self._clock: AsyncIOScheduler | None = None
        self._job: Job | None = None
        self._lock = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._renewed_at = monotonic()
        self._loop = BackgroundLoop(
            "scheduler",
            self._watch_once,
            every_seconds=lambda: _RESTART_POLL_SECONDS if ticker.restarting else _HEARTBEAT_SECONDS,
            failure="a round of the scheduler failed",
            expected=(DatabaseUnavailable,),
        )

    async def start(self) -> None:
        """Register as a scheduler, handle the current minute, and tick from then on; starting twice is harmless."""
        if self._loop.is_started:
            return
        # Not before: neither commands nor a server's first answer need it.
        from apscheduler.schedulers.asyncio import (  # noqa: PLC0415
            AsyncIOScheduler,
        )
        from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415

        self._clock = AsyncIOScheduler(timezone=UTC)
        self._stopping.clear()
        now = self._now()
        identity = msgspec.structs.replace(self._identity, id=self._id, kind=services.SCHEDULER)
        row = identity.registered(now, _LEASE_SECONDS)
        await self._database.write(services.add, row)
        self._job = self._clock.add_job(
            self._tick_until_done,
            CronTrigger(second=0, timezone=UTC),
            next_run_time=datetime.now(UTC),
            coalesce=True,
            misfire_grace_time=None,
            max_instances=1,
        )
        self._clock.start()
        self._loop.start(0.0)

    async def stop(self) -> None:
        """Finish the active tick and stop; stopping without a start is harmless."""
        if self._clock is None or not self._loop.is_started:
            return
        self._stopping.set()
        self._clock.pause()
        await self._loop.stop()
        async with self._lock:
            self._clock.shutdown(wait=False)
        now = self._now()
        with suppress(DatabaseUnavailable):
            await self._database.write(services.stop, self._id, now, now)

    async def tick(self, at: datetime | None = None, *, from_end: bool = False) -> None:
        """Handle all firings up to an instant, by default now. Raises DatabaseUnavailable."""
        async with self._lock:
            await self._ticker.tick(at, from_end=from_end)
        if self._ticker.restarting:
            self._loop.wake()

    async def finish_restarts(self) -> None:
        """Start the replacements of runs that were stopped for a restart and are finished."""
        self._ticker.restarting = await self._timely.finish_restarts()

    @property
    def _id(self) -> str:
        return f"{self._identity.id}-scheduler"

    async def _tick_until_done(self) -> None:
        """Tick until the current minute is handled: no second tick starts beside one that goes on into it."""
        while self._ticker.is_behind and not self._stopping.is_set():
            try:
                is_second = await self._yield_to_peers()
                await self.tick(from_end=is_second)
            except DatabaseUnavailable as error:
                _log.warning("schedules wait for the database: %s", error)
                await self._wait_for_stop(_OUTAGE_SECONDS)
            except Exception:  # noqa: BLE001 - an error must not stop the ticks
                _log.exception("a tick of the schedules failed")
                return

    async def _yield_to_peers(self) -> bool:
        """Wait while an earlier server has its head start; returns whether there is one.

        The rows of the slots decide anyway; but without the head start every server would run the commands in the
        params of each DAG, for one run. The wait ends when the earlier servers have died.
        """
        now = self._now()
        found = await self._database.read(services.find, services.SCHEDULER, now)
        ahead = [row for row in found if row.id < self._id and row.lease_until >= now]
        for _ in range(round(HEAD_START_SECONDS / _PEER_POLL_SECONDS) if ahead else 0):
            if self._stopping.is_set():
                break
            if not any(_may_be_alive(row, self._identity) for row in ahead):
                self._on_peer_death()
                break
            await self._wait_for_stop(_PEER_POLL_SECONDS)
        return bool(ahead)

    async def _wait_for_stop(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    # -- between the ticks -----------------------------------------------------------------------------------

    async def _watch_once(self) -> None:
        job = self._job
        if job is not None and job.next_run_time is not None and job.next_run_time > datetime.now(UTC) + _MAX_WAIT:
            # The clock was set back. The library would sleep until the old time; tick at the next minute instead.
            job.reschedule(job.trigger)
        if monotonic() - self._renewed_at >= _HEARTBEAT_SECONDS:
            now = self._now()
            until = now + timedelta(seconds=_LEASE_SECONDS)
            await self._database.write(services.renew, self._id, now, until)
            self._renewed_at = monotonic()
        await self.finish_restarts()


def _may_be_alive(peer: ServiceRow, me: ServerIdentity) -> bool:
    """Whether a scheduler may be alive: one on this machine is known by its process, long before its lease ends."""
    if (peer.host, peer.boot_id, peer.pid_namespace) != (me.host, me.boot_id, me.pid_namespace):
        return True
    return proc.is_alive(ProcessId(peer.pid, peer.pid_started))
