"""Supervisor of the runs of this process: starts, adopts, stops and detaches them, and renews the server's lease."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta

import msgspec

from dagbook.background import BackgroundLoop
from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import approvals, services
from dagbook.db.repositories.approvals import DecisionRow
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import StopRequest
from dagbook.engine.admission import Admission
from dagbook.engine.plan import Plan, initial_state
from dagbook.engine.state import RunState
from dagbook.errors import UnavailableError
from dagbook.executors.process import proc
from dagbook.runs.evaluation.secret_values import resolve_secrets
from dagbook.runs.model import ClaimedRun, RetryOptions, RunRequest, StopOrder
from dagbook.runs.notifications.mailer import RunMailer
from dagbook.runs.ports import QueueSignal
from dagbook.runs.recovery.left_runs import LeftRuns
from dagbook.runs.recovery.orphans import AdoptedRun, FailureTracker, OrphanSweeper, RunnerFailure
from dagbook.runs.recovery.takeover import clean_up_finished_runs
from dagbook.runs.recovery.trials import Orphan, Trials, choose
from dagbook.runs.runner.gates import Decision
from dagbook.runs.runner.preparation import RunPreparation
from dagbook.runs.runner.runner import Runner
from dagbook.runs.runner.runner_factory import RunnerFactory
from dagbook.runs.runner.sub_runs import SubRunService
from dagbook.runs.server_context import ServerContext
from dagbook.runs.service.retry import RetryService
from dagbook.runs.service.scheduled_runs import QueuedRunStarter
from dagbook.runs.store.new_run import as_queued, new_run, with_queue_limit
from dagbook.runs.store.recorder import FenceLostError, Recorder
from dagbook.runs.store.row_mapping import NodeRecord, stored_events
from dagbook.spec.reading.definition_cache import DefinitionCache

_log = logging.getLogger(__name__)
_HEARTBEAT_SECONDS = 3.0
_IN_PROCESS_GRACE_SECONDS = 30.0
_DETACH_SECONDS, _CANCEL_SECONDS = 5.0, 1.0


class Supervisor:
    """Owner of all runners of this process, and its heartbeat."""

    def __init__(
        self, database: Database, recorder: Recorder, library: DefinitionCache, context: ServerContext
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._left = LeftRuns(database, context)
        self._sweep = OrphanSweeper(database, library, context, self._left)
        self._trials = Trials(database, self._is_active, when_over=self._wake_for_suspects)
        self._context = context
        self._identity = context.identity
        self._now = context.now
        self._runners: dict[int, Runner] = {}
        self._runner_tasks: set[asyncio.Task[None]] = set()
        self._heartbeat = BackgroundLoop(
            "supervisor",
            lambda: self.run_once(),  # noqa: PLW0108 - looked up in each round, so that a test can replace it
            every_seconds=_HEARTBEAT_SECONDS,
            failure="no heartbeat",
            expected=(DatabaseUnavailable,),
        )
        self._notifier = RunMailer(database, context)
        self._sub_run_service = SubRunService(database, library, context, self)
        self._preparation = RunPreparation(database, context, self._notifier, self._sub_run_service)
        factory = RunnerFactory(database, recorder, library, context, self._runner)
        self._retries = RetryService(factory)
        self._queued_runs = QueuedRunStarter(factory)
        self._failures = FailureTracker(database, context)
        self._abandoned: list[RunnerFailure] = []
        self._draining = False
        self._left_because = ""
        self._drives_since: float | None = None  # monotonic; None until ``drive``
        self._has_cleaned_up = False
        self._has_suspects = False  # runs that wait until the trial of another one has ended
        self._round = asyncio.Lock()
        self.is_patient = False  # waits for steps or mails that would die with this process
        self.changed = QueueSignal()  # of runs that are queued, dequeued or have finished

    # -- life cycle ------------------------------------------------------------------------------------------

    async def start(self, *, left_because: str = "") -> None:
        """Register this server and start the heartbeat; does nothing if started already.

        Runs are taken over from ``drive`` on. With a reason in ``left_because`` none is started or retried before that,
        and those without an owner are ended when they are stopped.
        """
        if self._heartbeat.is_started:
            return
        self._left_because = left_because
        now = self._now()
        row = {**msgspec.structs.asdict(self._identity), "started_at": now, "heartbeat_at": now}
        row["lease_until"] = now + timedelta(seconds=self._context.lease_seconds)
        await self._database.write(lambda connection: services.add(connection, row))
        self._recorder.start()
        self._heartbeat.start()

    def drive(self) -> None:
        """Take over orphaned runs from the next round on."""
        self._left_because = ""
        self._drives_since = time.monotonic()

    async def stop(self) -> None:
        """Drain, then detach all runs: their steps continue, and the next server adopts the runs."""
        await self._drain()
        await self._heartbeat.stop()
        await self._trials.stop()
        for runner in self._runners.values():
            runner.detach()
        await self._wait_for_runners()
        self._sub_run_service.completion.stop()
        await self._recorder.stop()
        now = self._now()
        # In a container the steps end with it, so that the lease need not cover any that continue.
        in_container = self._identity.pid_namespace != proc.INITIAL_PID_NAMESPACE
        until = now + timedelta(seconds=0 if in_container else self._context.detached_lease_seconds)
        await self._database.write(lambda connection: services.stop(connection, self._identity.id, now, until))
        self.is_patient = True
        await self._notifier.stop()
        self.is_patient = False

    async def _wait_for_runners(self) -> None:
        """Wait until all runners have detached; one that does not is left behind as by a crash."""
        if not self._runner_tasks:
            return
        _, late = await asyncio.wait(self._runner_tasks, timeout=_DETACH_SECONDS)
        for task in late:
            _log.error("%s does not detach: it is left to the next server", task.get_name())
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_CANCEL_SECONDS)

    async def _drain(self) -> None:
        """Wait at most 30 s for the steps that would die with this process."""
        self._draining = True
        waits = [asyncio.create_task(runner.drain()) for runner in self._runners.values()]
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

    async def run_once(self) -> None:
        """Renew the lease; if this process drives runs, adopt orphaned ones and deliver stop requests."""
        async with self._round:
            await self._database.write(self._renew)
            if self._drives_since is not None:
                await self._drive_runs(self._drives_since)

    async def _drive_runs(self, since: float) -> None:
        await self._handle_failures()
        found = await self._sweep.run_once([runner.fence for runner in self._runners.values()])
        for fence in found.lost:
            runner = self._runners.get(fence.run)
            if runner is not None and runner.fence == fence:  # else it runs the next attempt by now
                runner.abandon(FenceLostError("it was adopted or finished by another server"))
        stopping = await self._left.find_stopping(orphan for orphan in found.orphans if orphan.deaths)
        seconds = time.monotonic() - since
        choice = choose(found.orphans, on_trial=self._trials.count, seconds=seconds, stopping=stopping)
        self._has_suspects = bool(choice.waiting)
        self._notify_ended(await self._left.end(choice.ended))
        await self._take_over(choice.next)
        await self._handle_failures()
        requests = await self._database.read(lambda connection: runs.find_stop_requests(connection, self._identity.id))
        for request in requests:
            self.notify_stop(request)
        for decision in await self._database.read(
            lambda connection: approvals.find_decided(connection, self._identity.id)
        ):
            self.notify_decision(decision)
        if not self._has_cleaned_up:
            await clean_up_finished_runs(self._database, self._context.spool)
            self._has_cleaned_up = True

    async def _take_over(self, orphans: Sequence[Orphan]) -> None:
        """Adopt and continue runs, one by one; the rest stays for the next server when this one is stopped."""
        renewed_at = time.monotonic()
        for orphan in orphans:
            if self._draining:
                return
            if time.monotonic() > renewed_at + _HEARTBEAT_SECONDS:
                await self._database.write(self._renew)
                renewed_at = time.monotonic()
            match await self._sweep.adopt(orphan):
                case AdoptedRun() as adopted:
                    self._continue(adopted)
                case RunnerFailure() as failure:
                    self._abandoned.append(failure)

    def _continue(self, adopted: AdoptedRun) -> None:
        runner = self._runner(adopted.run, adopted.state, adopted.records)
        adopted.resume_logs(runner)
        for request in adopted.requests:
            runner.request_stop(request)
        self._start_runner(runner)
        self._trials.add(runner)

    def _is_active(self, runner: Runner) -> bool:
        return self._runners.get(runner.run.key) is runner

    def _notify_ended(self, keys: Sequence[int]) -> None:
        """Wake what waits for runs that were ended by their rows."""
        for key in keys:
            self._sub_run_service.completion.notify(key)
        if keys:
            self.changed.notify()

    def _renew(self, connection: WriteConnection) -> None:
        services.terminate_stuck_sessions(connection)  # first: the next statements may have to wait for their locks
        now = self._now()
        services.renew(connection, self._identity.id, now, now + timedelta(seconds=self._context.lease_seconds))

    async def _handle_failures(self) -> None:
        """Handle the runner failures since the last round; one that cannot be handled now stays for the next."""
        while self._abandoned:
            failure = self._abandoned[0]
            if isinstance(failure.error, FenceLostError):
                await clean_up_finished_runs(self._database, self._context.spool, [failure.fence.run])
            else:
                await self._failures.record(failure)
                self.changed.notify()
            del self._abandoned[0]

    @property
    def active_count(self) -> int:
        """The number of active runs of this process, without sub-runs."""
        return sum(runner.run.lineage is None for runner in self._runners.values())

    # -- runs ------------------------------------------------------------------------------------------------

    async def accept(self, request: RunRequest, run: ClaimedRun) -> bool:
        """Store a new run with the first transition of its runner, and run it; returns True if it was queued instead.

        It is queued if its queue is full. Raises RunRefusedError, and EncryptionError if its secrets cannot be
        encrypted, and UnavailableError in a server that leaves runs alone, also for a while.
        """
        self._require_driving()
        if self._context.queues.sends_to_worker(run.definition.dag.worker_selector):
            # A sub-run gets a queue of its own: no queue and no limit counts it (runtime 25.4).
            if run.lineage is not None:
                run = msgspec.structs.replace(run, queue=f"called run {run.run_id}")
            await self.enqueue(request, run)
            return True
        run, problem = await resolve_secrets(run, self._context.machine)
        runner = self._runner(run, initial_state(Plan.of(run.definition.dag)), {})
        new = with_queue_limit(new_run(request, run, self._context), self._context.queues)
        new = msgspec.structs.replace(new, first_steps=runner.start(stored_events(new.events), problem))
        queued = await self._recorder.accept(new)
        if queued:
            self.changed.notify(run.queue)
        else:
            self._start_runner(runner)
        return queued

    async def enqueue(self, request: RunRequest, run: ClaimedRun) -> None:
        """Store a new run as queued; raises as ``accept``.

        Its secrets are resolved here only to mask its rows; they are resolved again when it starts.
        """
        run, _ = await resolve_secrets(run, self._context.machine)
        await self._recorder.accept(as_queued(new_run(request, run, self._context)))
        self.changed.notify(run.queue)

    async def start_queued(self, keys: Sequence[int]) -> list[BaseException | None]:
        """Dequeue and run; returns None or the error of each run, those of ``QueuedRunStarter.start``."""
        results = await self._queued_runs.start(keys)
        for runner in results:
            if isinstance(runner, Runner):
                self._start_runner(runner)
        return [None if isinstance(result, Runner) else result for result in results]

    async def cancel_queued(self, key: int) -> None:
        """Finish a run as aborted, if it is still queued."""
        if await self._queued_runs.cancel(key):
            self._sub_run_service.completion.notify(key)

    async def fail_queued(self, key: int, reason: str) -> None:
        """Finish a queued run that cannot be started as failed."""
        await self._queued_runs.fail(key, reason)

    async def retry(self, key: int, retry: RetryOptions) -> None:
        """Store and run the next attempt of a finished run; raises as ``RetryService.start_attempt``.

        It is queued instead if the queue of the run is full. Raises UnavailableError as ``accept``.
        """
        self._require_driving()
        runner = await self._retries.start_attempt(key, retry)
        if runner is None:
            self.changed.notify()
        else:
            self._start_runner(runner)

    async def start_attempt(self, key: int, *, attempt: int, directory: str) -> None:
        """Store and run attempt ``attempt`` of a finished sub-run, without regard to the limits of its DAG."""
        await self.retry(key, RetryOptions(admission=Admission.UNLIMITED, attempt=attempt, directory=directory))

    def _start_runner(self, runner: Runner) -> None:
        """Start the task of a runner, which ends when the run is closed or detached."""
        run = runner.run
        self._runners[run.key] = runner
        if self._draining:
            runner.pause_starts()
        task = asyncio.create_task(runner.execute(), name=f"run {run.dag_name}/{run.run_id}")
        self._runner_tasks.add(task)
        task.add_done_callback(lambda done: self._discard(runner, done))

    def _require_driving(self) -> None:
        if self._left_because:
            raise UnavailableError(self._left_because)

    async def stop_left(self, key: int, stop: StopOrder) -> bool:
        """End a run as aborted by its rows, if its owner is lost and it is not about to be taken over here."""
        takes_over = self._heartbeat.is_started and not self._left_because  # now or soon
        if key in self._runners or not (ended := await self._left.stop(key, stop, only_suspected=takes_over)):
            return False
        for run in await self._database.read(lambda connection: runs.find_unfinished_family(connection, key)):
            await self.cancel_queued(run)  # a sub-run that waits for a worker
        self._notify_ended(ended)
        return True

    def notify_stop(self, request: StopRequest) -> None:
        """Deliver a stop request to the run, if it runs in this process."""
        if runner := self._runners.get(request.run):
            runner.request_stop(request)

    def notify_decision(self, decision: DecisionRow) -> None:
        """Deliver the decision about an approval to the run, if it runs in this process."""
        runner = self._runners.get(decision.run_id)
        if runner is not None and runner.fence.attempt == decision.attempt:
            runner.decide(decision.position, Decision.of(decision))

    def _runner(self, run: ClaimedRun, state: RunState, records: dict[int, NodeRecord]) -> Runner:
        run.masker.add_secrets(value for known in records.values() for value in known.hidden)
        return Runner(run, state, self._recorder, self._preparation, records)

    def _discard(self, runner: Runner, task: asyncio.Task[None]) -> None:
        run = runner.run
        self._runner_tasks.discard(task)
        if self._is_active(runner):  # else the next attempt of the run may be active already
            del self._runners[run.key]
        error = None if task.cancelled() else task.exception()
        if error is None and runner.is_finished:
            self._sub_run_service.completion.notify(run.key)
            if run.lineage is None:
                self.changed.notify(run.queue)
                started, finished = runner.state.started_at, runner.state.finished_at
                if started is not None and finished is not None:
                    self._context.metrics.observe_duration(run.dag_name, (finished - started).total_seconds())
        if isinstance(error, FenceLostError):
            _log.warning("run %s/%s has another owner now", run.dag_name, run.run_id)
        if error is not None and not isinstance(error, DatabaseUnavailable):
            self._abandoned.append(RunnerFailure(runner.fence, error, runner.run.masker))
