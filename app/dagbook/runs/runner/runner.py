"""The runner of one run: takes events, lets the engine decide, stores the state, then carries out the actions.

The order is essential: a step starts only after the commit that stores it as running, and the last part of its output
is stored in the commit that finishes it, so that the output of a finished step is complete (house design section 8).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime
from typing import assert_never

import msgspec

from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs.run_writes import Fence, Transition
from dagbook.db.repositories.runs.runs import EventRow, StopRequest
from dagbook.engine import action, event
from dagbook.engine.advance import due, resume
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import RunStatus
from dagbook.executors.cancellation import KILL
from dagbook.runs.evaluation.inputs import create_workdir
from dagbook.runs.model import ClaimedRun
from dagbook.runs.output.output_follower import StreamOffset
from dagbook.runs.runner.approval import Decision
from dagbook.runs.runner.journal import Journal
from dagbook.runs.runner.preparation import RunPreparation
from dagbook.runs.runner.step_executor import StepExecutor
from dagbook.runs.store.recorder import Recorder
from dagbook.runs.store.row_mapping import NodeRecord
from dagbook.telemetry.logging import log_masking, request_id

_log = logging.getLogger(__name__)
_IDLE_SECONDS = 0.25  # how long an ExecutionStarted may wait to share another commit


class Runner:
    """Runs one attempt in this process, under its fencing token."""

    def __init__(
        self,
        run: ClaimedRun,
        state: RunState,
        recorder: Recorder,
        preparation: RunPreparation,
        records: Mapping[int, NodeRecord],
    ) -> None:
        self._preparation = preparation
        self._journal = Journal(state, recorder, preparation.deps(run), records)
        self._executor = StepExecutor(self._journal)
        self._pauses_starts = False  # a run whose inputs are evaluated meanwhile gets another executor
        self._tasks: set[asyncio.Task[None]] = set()
        self._detached = False
        self._failure: BaseException | None = None
        self._first_actions: tuple[action.Action, ...] = ()  # of the transition that is stored with the acceptance
        self._has_resumed = False

    @property
    def run(self) -> ClaimedRun:
        """The run, with its inputs as far as they are evaluated."""
        return self._journal.deps.run

    @property
    def fence(self) -> Fence:
        """The attempt and the token under which this process owns it."""
        return self._journal.fence

    @property
    def state(self) -> RunState:
        """The latest state, possibly not stored yet."""
        return self._journal.state

    @property
    def writes_log(self) -> bool:
        """Whether it writes the log file of the run, which needs all events of the run."""
        return self._journal.deps.log_file is not None

    @property
    def is_finished(self) -> bool:
        """Whether the end of the run is stored."""
        return self._journal.is_end_stored

    @property
    def is_settled(self) -> bool:
        """Whether it has recorded progress, or waits for executions and timers alone: nothing of it is evaluated."""
        is_idle = self._has_resumed and not self._journal.has_messages
        return self._journal.has_progressed or (is_idle and len(self._tasks) <= self._executor.active_count)

    # -- requests of the owner -------------------------------------------------------------------------------

    def request_stop(self, request: StopRequest) -> None:
        """Queue a stop request; repeated deliveries of the same request are ignored."""
        self._journal.request_stop(request)

    def decide(self, position: int, decision: Decision) -> None:
        """Deliver the decision about an approval; repeated deliveries are ignored."""
        self._executor.decide(position, decision)

    def detach(self) -> None:
        """Stop running it here: its steps continue without this server, and another server adopts the run."""
        self._detached = True
        self._journal.woken.set()

    def abandon(self, error: BaseException) -> None:
        """Detach after an error, which ``execute`` then raises."""
        if self.state.phase is not Phase.CLOSED:
            self._failure = error
            self.detach()

    def pause_starts(self) -> None:
        """Start no further steps that would die with this process; the next server starts them."""
        self._pauses_starts = True
        self._executor.pause_in_process()

    async def drain(self) -> None:
        """Return when no active step would die with this process."""
        self.pause_starts()
        await self._executor.wait_for_in_process()

    def resume_log(
        self, key: int, positions: dict[int, StreamOffset], ordinal: int, received_at: datetime | None
    ) -> None:
        """Set where the output of a node continues: ends of its streams, next ordinal, time of the last chunk."""
        node = self._journal.nodes.get(key)
        node.positions, node.ordinal, node.received_at = positions, ordinal, received_at

    # -- life cycle ------------------------------------------------------------------------------------------

    def start(self, accepted: Iterable[EventRow], problem: str = "") -> Transition | None:
        """Start the attempt; returns its first transition, to be stored in the commit that accepts the attempt.

        A ``problem`` fails the run in that commit, and so does a working directory that cannot be created. While inputs
        are pending, the attempt only leaves its queue, which means that it is running: it has an owner, and limits
        count it. It starts when ``execute`` has evaluated them.
        """
        journal = self._journal
        journal.accept(accepted)
        if self.run.inputs.pending:
            if self.state.status is RunStatus.QUEUED:
                running = {"status": RunStatus.RUNNING, "started_at": journal.deps.context.now()}
                journal.state = msgspec.structs.replace(journal.state, **running)
            return journal.first_transition()
        problem = self._start_problem(problem)
        self._first_actions = journal.apply(event.RunStarted(problem=problem))
        is_empty = self.state.phase is Phase.CLOSED and not problem  # its end is stored by ``execute``
        return None if is_empty else journal.first_transition()

    def _start_problem(self, problem: str) -> str:
        """Create the working directory, and return the problem that fails the run, or ""."""
        environment = self._journal.deps.environment
        return self.run.masker.mask(problem or create_workdir(self.run.inputs, environment.account))

    async def execute(self) -> None:
        """Run the attempt until it is closed or detached; raises FenceLostError and the error that ended it."""
        log_masking.set(self.run.masker.mask)  # masks the log records of this task and its child tasks
        request_id.set("")  # this task outlives the request that started the run
        try:
            await self._resume()
            self._has_resumed = True
            while self.state.phase is not Phase.CLOSED and not self._detached:
                await self._wait()
                await self._process_inbox()
            if self._detached and self._failure is None and self._journal.has_messages:
                messages, _ = self._journal.take_messages()  # the server that adopts the run carries out the actions
                await self._journal.commit(messages)
        finally:
            self._executor.detach()
            for task in self._tasks:
                task.cancel()
        if self._failure is not None:
            raise self._failure
        if self.state.phase is Phase.CLOSED:
            await self._executor.release()

    async def _resume(self) -> None:
        if (restored := self._journal.deps.restored_logs) is not None:
            try:
                await restored.restore()
            except OSError as error:  # a step that reads such a file fails with its own message
                run = self.run
                _log.warning("stored output of run %s/%s could not be restored: %s", run.dag_name, run.run_id, error)
        await self._journal.resume()
        if self.state.phase is Phase.NEW:
            await self._begin()
            return
        for requested in self._first_actions or resume(self._journal.deps.plan, self.state):
            self._perform(requested)

    async def _begin(self) -> None:
        """Evaluate pending inputs and start the attempt; a stop request ends the evaluation."""
        problem = ""
        if self.run.inputs.pending:
            evaluation = asyncio.create_task(self._preparation.evaluate(self.run))
            await self._until_stopped(evaluation)
            if evaluation.cancelled():
                return
            run, problem = evaluation.result()
            self._journal.use(self._preparation.deps(run))
            self._journal.store_inputs()
            self._executor = StepExecutor(self._journal)
            if self._pauses_starts:
                self._executor.pause_in_process()
        self._journal.post(event.RunStarted(problem=self._start_problem(problem)))

    async def _until_stopped(self, evaluation: asyncio.Task[tuple[ClaimedRun, str]]) -> None:
        """Wait for an evaluation; cancel it when the run is requested to stop or detached."""
        woken = self._journal.woken
        evaluation.add_done_callback(lambda _: woken.set())
        try:
            while not (evaluation.done() or self._journal.has_messages or self._detached):
                woken.clear()
                await woken.wait()
        finally:
            evaluation.cancel()
        await asyncio.wait({evaluation})

    async def _wait(self) -> None:
        if self._journal.has_messages:
            return
        self._journal.woken.clear()
        try:
            async with asyncio.timeout(self._seconds_to_next()):
                await self._journal.woken.wait()
        except TimeoutError:
            self._journal.post(event.TimerFired())

    def _seconds_to_next(self) -> float | None:
        deps = self._journal.deps
        instant = due(deps.plan, self.state)
        until_due = None if instant is None else max((instant - deps.context.now()).total_seconds(), 0.0)
        if self._journal.is_stored:
            return until_due
        return _IDLE_SECONDS if until_due is None else min(until_due, _IDLE_SECONDS)

    async def _process_inbox(self) -> None:
        messages, actions = self._journal.take_messages()
        # Events of started executions alone can be stored with the next commit.
        if actions or not all(isinstance(message.event, event.ExecutionStarted) for message in messages):
            committed = asyncio.Event()
            actions = self._prepare(actions, committed)
            await self._journal.commit(messages)
            committed.set()
        for requested in actions:
            self._perform(requested)

    def _prepare(self, actions: list[action.Action], committed: asyncio.Event) -> list[action.Action]:
        """Prepare steps concurrently with the commit that starts them; returns the actions for after the commit."""
        left: list[action.Action] = []
        for requested in actions:
            if isinstance(requested, action.StartStep) and self._executor.may_prepare(requested.key):
                self._spawn(self._executor.execute(requested.key, requested.execution, committed))
            else:
                left.append(requested)
        return left

    # -- actions ---------------------------------------------------------------------------------------------

    def _perform(self, requested: action.Action) -> None:
        match requested:
            case action.CheckConditions():
                self._spawn(self._executor.checks.conditions(requested.key))
            case action.StartStep():
                self._spawn(self._executor.execute(requested.key, requested.execution))
            case action.AdoptStep():
                self._spawn(self._executor.adopt(requested.key, requested.execution))
            case action.CheckRepeat():
                self._spawn(self._executor.checks.repeat(requested.key, requested.execution))
            case action.SignalStep():
                self._executor.signal(requested.key, requested.signal)
            case action.KillStep():
                self._executor.signal(requested.key, KILL)
            case action.CloseRun():
                pass  # the commit that closed the run has been made already
            case _:
                assert_never(requested)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DatabaseUnavailable):
            self.detach()
        elif error is not None:
            self.abandon(error)
