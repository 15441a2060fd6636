"""Supervisor of this process: renews its lease, adopts orphaned runs, delivers what other processes ask, and stops."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta

from dagbook.background import BackgroundLoop
from dagbook.db.database import WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import approvals, services
from dagbook.db.repositories.runs import runs
from dagbook.runs.active_runs import ActiveRuns, RunnerFailure
from dagbook.runs.model import StopOrder
from dagbook.runs.recovery.crash_loop import CrashLoopGuard, Orphan, choose
from dagbook.runs.recovery.orphans import AdoptedRun, OrphanSweeper
from dagbook.runs.recovery.row_ends import FailureTracker, OrphanEnder, clean_up_finished_runs
from dagbook.runs.store.recorder import FenceLostError
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.unix import proc

_log = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 3.0
_IN_PROCESS_GRACE_SECONDS = 30.0


class Supervisor:
    """Heartbeat of this process, and its part in the recovery of runs."""

    def __init__(self, active_runs: ActiveRuns, library: DefinitionCache) -> None:
        database, context = active_runs.database, active_runs.context
        self.active_runs = active_runs
        self._database = database
        self._context = context
        self._identity = context.identity
        self._now = context.now
        self._ender = OrphanEnder(database, context)
        self._sweep = OrphanSweeper(database, library, context, self._ender)
        self._guard = CrashLoopGuard(database, active_runs.is_active, when_over=self._wake_for_suspects)
        self._failures = FailureTracker(database, context)
        self._heartbeat = BackgroundLoop(
            "supervisor",
            self.run_once,
            every_seconds=_HEARTBEAT_SECONDS,
            failure="no heartbeat",
            expected=(DatabaseUnavailable,),
        )
        self._drives_since: float | None = None  # monotonic; None until ``drive``
        self._has_cleaned_up = False
        self._has_suspects = False  # runs that wait until another one is known not to crash its owner
        self._round = asyncio.Lock()
        self.is_patient = False  # waits for steps or mails that would die with this process

    # -- life cycle ------------------------------------------------------------------------------------------

    async def start(self, *, refusal: str = "") -> None:
        """Register this server and start the heartbeat; does nothing if started already.

        Runs are taken over from ``drive`` on. With a reason in ``refusal`` none is started or retried before that, and
        those without an owner are ended when they are stopped.
        """
        if self._heartbeat.is_started:
            return
        self.active_runs.refusal = refusal
        row = self._identity.registered(self._now(), self._context.lease_seconds)
        await self._database.write(lambda connection: services.add(connection, row))
        self.active_runs.recorder.start()
        self._heartbeat.start()

    def drive(self) -> None:
        """Take over orphaned runs from the next round on."""
        self.active_runs.refusal = ""
        self._drives_since = time.monotonic()

    async def stop(self) -> None:
        """Drain, then detach all runs: their steps continue, and the next server adopts the runs."""
        await self._drain()
        await self._heartbeat.stop()
        await self._guard.stop()
        await self.active_runs.detach()
        await self.active_runs.recorder.stop()
        now = self._now()
        # In a container the steps end with it, so that the lease need not cover any that continue.
        in_container = self._identity.pid_namespace != proc.INITIAL_PID_NAMESPACE
        until = now + timedelta(seconds=0 if in_container else self._context.detached_lease_seconds)
        await self._database.write(lambda connection: services.stop(connection, self._identity.id, now, until))
        self.is_patient = True
        await self.active_runs.mailer.stop()
        self.is_patient = False

    async def _drain(self) -> None:
        """Wait at most 30 s for the steps that would die with this process."""
        waits = self.active_runs.drain()
        if not waits:
            return
        _, late = await asyncio.wait(waits, timeout=0)
        if late:
            _log.info("waiting at most %g s for steps that would die with this server", _IN_PROCESS_GRACE_SECONDS)
            self.is_patient = True
            _, late = await asyncio.wait(late, timeout=_IN_PROCESS_GRACE_SECONDS)
            self.is_patient = False
        for wait in late:
            wait.cancel()

    def _wake_for_suspects(self) -> None:
        if self._has_suspects:
            self._heartbeat.wake()

    def wake(self) -> None:
        """Run a round now instead of at the next heartbeat, because a server is known to have died."""
        self._heartbeat.wake()

    # -- rounds ----------------------------------------------------------------------------------------------

    async def run_once(self) -> None:
        """Renew the lease; if this process drives runs, adopt orphaned ones and deliver stop requests."""
        async with self._round:
            await self._database.write(self._renew)
            if self._drives_since is not None:
                await self._drive_runs(self._drives_since)

    async def _drive_runs(self, since: float) -> None:
        await self._handle_failures()
        found = await self._sweep.run_once(self.active_runs.fences)
        for fence in found.lost:
            self.active_runs.abandon(fence)
        stopping = await self._ender.find_stopping(orphan for orphan in found.orphans if orphan.crashes)
        seconds = time.monotonic() - since
        choice = choose(found.orphans, unproven=self._guard.count, seconds=seconds, stopping=stopping)
        self._has_suspects = bool(choice.waiting)
        self.active_runs.notify_ended(await self._ender.end(choice.ended))
        await self._take_over(choice.next)
        await self._handle_failures()
        requests = await self._database.read(lambda connection: runs.find_stop_requests(connection, self._identity.id))
        for request in requests:
            self.active_runs.notify_stop(request)
        for decision in await self._database.read(
            lambda connection: approvals.find_decided(connection, self._identity.id)
        ):
            self.active_runs.notify_decision(decision)
        if not self._has_cleaned_up:
            await clean_up_finished_runs(self._database, self._context.spool)
            self._has_cleaned_up = True

    async def _take_over(self, orphans: Sequence[Orphan]) -> None:
        """Adopt and continue runs, one by one; the rest stays for the next server when this one is stopped."""
        renewed_at = time.monotonic()
        for orphan in orphans:
            if self.active_runs.is_draining:
                return
            if time.monotonic() > renewed_at + _HEARTBEAT_SECONDS:
                await self._database.write(self._renew)
                renewed_at = time.monotonic()
            match await self._sweep.adopt(orphan):
                case AdoptedRun() as adopted:
                    self._continue(adopted)
                case RunnerFailure() as failure:
                    self.active_runs.failures.append(failure)

    def _continue(self, adopted: AdoptedRun) -> None:
        runner = self.active_runs.starter.make_runner(adopted.run, adopted.state, adopted.records)
        adopted.resume_logs(runner)
        for request in adopted.requests:
            runner.request_stop(request)
        self.active_runs.start(runner)
        self._guard.add(runner)

    def _renew(self, connection: WriteConnection) -> None:
        services.terminate_stuck_sessions(connection)  # first: the next statements may have to wait for their locks
        now = self._now()
        services.renew(connection, self._identity.id, now, now + timedelta(seconds=self._context.lease_seconds))

    async def _handle_failures(self) -> None:
        """Handle the runner failures since the last round; one that cannot be handled now stays for the next."""
        failures = self.active_runs.failures
        while failures:
            failure = failures[0]
            if isinstance(failure.error, FenceLostError):
                await clean_up_finished_runs(self._database, self._context.spool, [failure.fence.run])
            else:
                await self._failures.record(failure)
                self.active_runs.changed.notify()
            del failures[0]

    # -- stops without an owner ------------------------------------------------------------------------------

    async def stop_orphaned(self, key: int, stop: StopOrder) -> bool:
        """End a run as aborted by its rows, if its owner is lost and it is not about to be taken over here."""
        takes_over = self._heartbeat.is_started and not self.active_runs.refusal  # now or soon
        if self.active_runs.has(key):
            return False
        ended = await self._ender.stop(key, stop, only_suspected=takes_over)
        if not ended:
            return False
        for run in await self._database.read(lambda connection: runs.find_unfinished_family(connection, key)):
            await self.active_runs.cancel_queued(run)  # a sub-run that waits for a worker
        self.active_runs.notify_ended(ended)
        return True
