"""The active runs of this process: the owner of their runners, which it starts, stops and detaches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

import msgspec

from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.approvals import DecisionRow
from dagbook.db.repositories.runs.run_writes import Fence
from dagbook.db.repositories.runs.runs import StopRequest
from dagbook.engine.status import RunStatus
from dagbook.errors import UnavailableError
from dagbook.runs.model import ClaimedRun, RetryOptions, RunRequest
from dagbook.runs.notifications.mailer import RunMailer
from dagbook.runs.runner.approval import Decision
from dagbook.runs.runner.runner import Runner
from dagbook.runs.secrets.encryption import EncryptionError
from dagbook.runs.secrets.masking import Masker
from dagbook.runs.starting import AttemptStarter
from dagbook.runs.store.recorder import FenceLostError
from dagbook.runs.wakeups import RunCompletion

_log = logging.getLogger(__name__)
_DETACH_SECONDS, _CANCEL_SECONDS = 5.0, 1.0


class RunnerFailure(msgspec.Struct, frozen=True):
    """Error that ended a runner, with its fence."""

    fence: Fence
    error: BaseException
    masker: Masker = msgspec.field(default_factory=Masker)

    @property
    def is_permanent(self) -> bool:
        """Whether another try cannot succeed: without the key it would run steps without secrets, unmasked."""
        return isinstance(self.error, EncryptionError)

    @property
    def reason(self) -> str:
        """The masked error text for the run."""
        kind = "" if self.is_permanent else f" ({type(self.error).__name__})"
        return self.masker.mask(f"the server could not continue the run: {self.error}{kind}")


class ActiveRuns:
    """Owner of all runners of this process."""

    def __init__(self, starter: AttemptStarter, mailer: RunMailer) -> None:
        self.starter = starter
        self.database = starter.database
        self.recorder = starter.recorder
        self.context = starter.context
        self.changed = starter.changed
        self.mailer = mailer
        self.completion = RunCompletion(starter.database)
        self.failures: list[RunnerFailure] = []  # that are not handled yet
        self.refusal = ""  # why no run is started or retried here
        self.is_draining = False
        self._runners: dict[int, Runner] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def active_count(self) -> int:
        """The number of active runs, without sub-runs."""
        return sum(runner.run.lineage is None for runner in self._runners.values())

    @property
    def fences(self) -> list[Fence]:
        """The fences of all runners."""
        return [runner.fence for runner in self._runners.values()]

    def is_active(self, runner: Runner) -> bool:
        """Whether a runner still runs its run; the next attempt may have another one."""
        return self._runners.get(runner.run.key) is runner

    def has(self, key: int) -> bool:
        """Whether a run is active here."""
        return key in self._runners

    # -- starts ----------------------------------------------------------------------------------------------

    async def accept(self, request: RunRequest, run: ClaimedRun) -> bool:
        """Store a new run with the first transition of its runner, and run it; returns True if it was queued instead.

        Raises as ``AttemptStarter.accept``, and UnavailableError in a server that leaves runs alone, also for a while.
        """
        self._require_starts()
        runner = await self.starter.accept(request, run)
        if runner is not None:
            self.start(runner)
        return runner is None

    async def retry(self, key: int, retry: RetryOptions) -> None:
        """Store and run the next attempt of a finished run, or queue it; raises as ``AttemptStarter.retry``.

        Raises UnavailableError as ``accept``.
        """
        self._require_starts()
        runner = await self.starter.retry(key, retry)
        if runner is not None:
            self.start(runner)

    def _require_starts(self) -> None:
        if self.refusal:
            raise UnavailableError(self.refusal)

    async def start_queued(self, keys: Sequence[int]) -> list[BaseException | None]:
        """Dequeue and run; returns None or the error of each run, those of ``AttemptStarter.start_queued``."""
        results = await self.starter.start_queued(keys)
        for runner in results:
            if isinstance(runner, Runner):
                self.start(runner)
        return [None if isinstance(result, Runner) else result for result in results]

    async def cancel_queued(self, key: int) -> None:
        """Abort a run, if it is still queued."""
        if await self.starter.end_queued(key, RunStatus.ABORTED, ""):
            self.completion.notify(key)

    async def fail_queued(self, key: int, reason: str) -> None:
        """Fail a queued run that cannot be started."""
        await self.starter.end_queued(key, RunStatus.FAILED, reason)

    def start(self, runner: Runner) -> None:
        """Start the task of a runner, which ends when the run is closed or detached."""
        run = runner.run
        self._runners[run.key] = runner
        if self.is_draining:
            runner.pause_starts()
        task = asyncio.create_task(runner.execute(), name=f"run {run.dag_name}/{run.run_id}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._discard(runner, done))

    # -- stops and ends --------------------------------------------------------------------------------------

    def notify_stop(self, request: StopRequest) -> None:
        """Deliver a stop request to the run, if it is active here."""
        if runner := self._runners.get(request.run):
            runner.request_stop(request)

    def notify_decision(self, decision: DecisionRow) -> None:
        """Deliver the decision about an approval to the run, if it is active here."""
        runner = self._runners.get(decision.run_id)
        if runner is not None and runner.fence.attempt == decision.attempt:
            runner.decide(decision.position, Decision.of(decision))

    def notify_ended(self, keys: Collection[int]) -> None:
        """Wake what waits for runs that were ended by their rows."""
        for key in keys:
            self.completion.notify(key)
        if keys:
            self.changed.notify()

    def abandon(self, fence: Fence) -> None:
        """Detach a run whose attempt has another owner, or is finished."""
        runner = self._runners.get(fence.run)
        if runner is not None and runner.fence == fence:  # else it runs the next attempt by now
            runner.abandon(FenceLostError("it was adopted or finished by another server"))

    def drain(self) -> list[asyncio.Task[None]]:
        """Start no further steps that would die with this process; the tasks end when the active ones have ended."""
        self.is_draining = True
        return [asyncio.create_task(runner.drain()) for runner in self._runners.values()]

    async def detach(self) -> None:
        """Detach all runs: their steps continue, and the next server adopts the runs.

        A runner that does not detach in time is left behind as by a crash.
        """
        for runner in self._runners.values():
            runner.detach()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_DETACH_SECONDS)
            for task in late:
                _log.error("%s does not detach: it is left to the next server", task.get_name())
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)
        self.completion.stop()

    def _discard(self, runner: Runner, task: asyncio.Task[None]) -> None:
        run = runner.run
        self._tasks.discard(task)
        if self.is_active(runner):  # else the next attempt of the run may be active already
            del self._runners[run.key]
        error = None if task.cancelled() else task.exception()
        if error is None and runner.is_finished:
            self.completion.notify(run.key)
            if run.lineage is None:
                self.changed.notify(run.queue)
                started, finished = runner.state.started_at, runner.state.finished_at
                if started is not None and finished is not None:
                    self.context.metrics.observe_duration(run.dag_name, (finished - started).total_seconds())
        if isinstance(error, FenceLostError):
            _log.warning("run %s/%s has another owner now", run.dag_name, run.run_id)
        if error is not None and not isinstance(error, DatabaseUnavailable):
            self.failures.append(RunnerFailure(runner.fence, error, run.masker))
