"""The runner of one run: takes events, lets the engine decide, stores the state, then carries out the actions.

The order is essential: a step starts only after the commit that stores it as running, and the last part of its output
is stored in the commit that finishes it, so that the output of a finished step is complete (house design section 8).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, assert_never

import msgspec

from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs.run_writes import EvaluatedInputs, Fence, Transition
from dagbook.db.repositories.runs.runs import EventRow, StopRequest
from dagbook.engine import action, event, history
from dagbook.engine.advance import advance, due, resume
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import RunStatus
from dagbook.runs.evaluation.inputs import create_workdir
from dagbook.runs.model import ClaimedRun
from dagbook.runs.output.output_follower import Chunk, StreamOffset
from dagbook.runs.runner.gates import Decision
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.runner_deps import PreparationPort
from dagbook.runs.runner.step_executor import StepExecutor
from dagbook.runs.store import row_mapping
from dagbook.runs.store.recorder import Recorder
from dagbook.runs.store.row_mapping import redact_event, redact_node
from dagbook.telemetry.logging import log_masking, request_id

_log = logging.getLogger(__name__)
_IDLE_SECONDS = 0.25  # how long an ExecutionStarted may wait to share another commit


class _Message(msgspec.Struct, frozen=True):
    event: event.Event
    node: NodeExecution | None = None
    chunks: list[Chunk] = []
    request: int = 0  # id of the stop request that it handles


class Runner:
    """Runs one attempt in this process, under its fencing token."""

    def __init__(
        self,
        run: ClaimedRun,
        state: RunState,
        recorder: Recorder,
        preparation: PreparationPort,
        records: Mapping[int, row_mapping.NodeRecord],
    ) -> None:
        self.fence = Fence(run.key, run.attempt, run.token)
        self._state = state
        self._stored = state
        self._last_seq = run.last_seq
        self._recorder = recorder
        self._preparation = preparation
        self._records = records
        self._pauses_starts = False  # a run whose inputs are evaluated meanwhile gets another executor
        self._set_run(run)
        self._inbox: list[_Message] = []
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._dirty: set[int] = set()
        self._detached = False
        self._stop_requests: set[int] = set()  # ids of those received
        self._failure: BaseException | None = None
        self._first_actions: tuple[action.Action, ...] = ()  # of the transition that is stored with the acceptance
        self._unlogged: list[EventRow] = []  # events stored with the acceptance, not yet in the log file
        self._evaluated: EvaluatedInputs | None = None  # inputs that are stored with the start of the attempt
        self._asked: list[row_mapping.Row] = []  # approvals that are stored with the next commit
        self._has_resumed = False
        self._has_progressed = False

    def _set_run(self, run: ClaimedRun) -> None:
        self.run = run
        self._deps = self._preparation.deps(run)
        self._executor = StepExecutor(run, self, self._deps, self._records)
        if self._pauses_starts:
            self._executor.pause_in_process()

    # -- inbox -----------------------------------------------------------------------------------------------

    def post(self, event: event.Event, node: NodeExecution | None = None, chunks: list[Chunk] | None = None) -> None:
        """Queue an event; the chunks of its node are stored in the same commit."""
        if node is not None:
            self._dirty.add(node.key)
        if self.run.masker:
            event = redact_event(event, self.run.masker)
        self._inbox.append(_Message(event, node, chunks or []))
        self._wake.set()

    def request_stop(self, request: StopRequest) -> None:
        """Queue a stop request; repeated deliveries of the same request are ignored."""
        if request.id not in self._stop_requests:
            self._stop_requests.add(request.id)
            self._inbox.append(_Message(event.StopRequested(at_once=request.at_once), request=request.id))
            self._wake.set()

    def detach(self) -> None:
        """Stop running it here: its steps continue without this server, and another server adopts the run."""
        self._detached = True
        self._wake.set()

    def pause_starts(self) -> None:
        """Start no further steps that would die with this process; the next server starts them."""
        self._pauses_starts = True
        self._executor.pause_in_process()

    async def drain(self) -> None:
        """Return when no active step would die with this process."""
        self.pause_starts()
        await self._executor.wait_for_in_process()

    def abandon(self, error: BaseException) -> None:
        """Detach after an error, which ``execute`` then raises."""
        if self._state.phase is not Phase.CLOSED:
            self._failure = error
            self.detach()

    def resume_log(self, key: int, positions: dict[int, StreamOffset], ordinal: int) -> None:
        """Set where the output of a node continues: the ends of its stored streams and the next ordinal."""
        node = self._executor.nodes.get(key)
        node.positions, node.ordinal = positions, ordinal

    async def store_log(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> None:
        """Store output of a step that is still running."""
        await self._recorder.store_log(Transition(fence=self.fence, chunks=self._chunk_rows(node, chunks, execution)))

    async def store_node(self, node: NodeExecution) -> None:
        """Store the record of a node with the current state."""
        self._dirty.add(node.key)
        await self._record([])

    async def ask(self, node: NodeExecution, asked_at: datetime, request: Mapping[str, Any]) -> None:
        """Store what a step asks, with the record of its node."""
        masked = row_mapping.mask_tree(dict(request), self.run.masker)
        row = {"run_id": self.run.key, "attempt": self.run.attempt, "position": node.key}
        self._asked.append({**row, "asked_at": asked_at, "request": masked})
        await self.store_node(node)

    def decide(self, position: int, decision: Decision) -> None:
        """Deliver the decision about an approval; repeated deliveries are ignored."""
        self._executor.decide(position, decision)

    @property
    def state(self) -> RunState:
        """The latest state, possibly not stored yet."""
        return self._state

    @property
    def is_finished(self) -> bool:
        """Whether the end of the run is stored."""
        return self._stored.phase is Phase.CLOSED

    @property
    def is_settled(self) -> bool:
        """Whether it has recorded progress, or waits for executions and timers alone: nothing of it is evaluated."""
        is_idle = self._has_resumed and not self._inbox and len(self._tasks) <= self._executor.active_count
        return self._has_progressed or is_idle

    # -- life cycle ------------------------------------------------------------------------------------------

    def start(self, accepted: Iterable[EventRow], problem: str = "") -> Transition | None:
        """Start the attempt; returns its first transition, to be stored in the commit that accepts the attempt.

        A ``problem`` fails the run in that commit, and so does a working directory that cannot be created. While inputs
        are pending, the attempt only leaves its queue; it starts when ``execute`` has evaluated them.
        """
        self._unlogged = list(accepted)
        if self.run.inputs.pending:
            return self._leave_queue()
        problem = problem or self.run.masker.mask(create_workdir(self.run.inputs, self._deps.environment.account))
        started = event.RunStarted(problem=problem)
        self._state, self._first_actions = advance(self._deps.plan, self._state, started, self._deps.now())
        if self._state.phase is Phase.CLOSED and not problem:
            return None
        self._assign_spools(self._first_actions)
        transition = self._transition([])
        self._unlogged += row_mapping.stored_events(transition.events) if transition else ()
        return transition

    def _leave_queue(self) -> Transition | None:
        """Let a queued run be running while its inputs are evaluated: it has an owner, and limits count it."""
        if self._state.status is not RunStatus.QUEUED:
            return None
        running = {"status": RunStatus.RUNNING, "started_at": self._deps.now()}
        self._state = msgspec.structs.replace(self._state, **running)
        transition = self._transition([])
        self._unlogged += row_mapping.stored_events(transition.events) if transition else ()
        return transition

    async def execute(self) -> None:
        """Run the attempt until it is closed or detached; raises FenceLostError and the error that ended it."""
        log_masking.set(self.run.masker.mask)  # masks the log records of this task and its child tasks
        request_id.set("")  # this task outlives the request that started the run
        try:
            await self._resume()
            self._has_resumed = True
            while self._state.phase is not Phase.CLOSED and not self._detached:
                await self._wait()
                await self._process_inbox()
            if self._detached and self._failure is None and self._inbox:
                await self._flush()
        finally:
            self._executor.detach()
            for task in self._tasks:
                task.cancel()
        if self._failure is not None:
            raise self._failure
        if self._state.phase is Phase.CLOSED:
            await self._executor.resources.release()
            self._executor.remove_files()

    async def _resume(self) -> None:
        try:
            await self._deps.restored_logs.restore()
        except OSError as error:  # a step that reads such a file fails with its own message
            run = self.run
            _log.warning("stored output of run %s/%s could not be restored: %s", run.dag_name, run.run_id, error)
        self._append_log(self._unlogged)
        if self._state.phase is Phase.NEW:
            await self._begin()
            return
        if self._state is not self._stored:
            await self._commit([])
        for requested in self._first_actions or resume(self._deps.plan, self._state):
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
            self._set_run(run)
            self._evaluated = row_mapping.evaluated_inputs(run, self._deps.encrypter)
        problem = self.run.masker.mask(problem or create_workdir(self.run.inputs, self._deps.environment.account))
        self.post(event.RunStarted(problem=problem))

    async def _until_stopped(self, evaluation: asyncio.Task[tuple[ClaimedRun, str]]) -> None:
        """Wait for an evaluation; cancel it when the run is requested to stop or detached."""
        evaluation.add_done_callback(lambda _: self._wake.set())
        try:
            while not (evaluation.done() or self._inbox or self._detached):
                self._wake.clear()
                await self._wake.wait()
        finally:
            evaluation.cancel()
        await asyncio.wait({evaluation})

    async def _wait(self) -> None:
        if self._inbox:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(self._seconds_to_next()):
                await self._wake.wait()
        except TimeoutError:
            self.post(event.TimerFired())

    def _seconds_to_next(self) -> float | None:
        instant = due(self._deps.plan, self._state)
        until_due = None if instant is None else max((instant - self._deps.now()).total_seconds(), 0.0)
        if self._state is self._stored and not self._dirty:
            return until_due
        return _IDLE_SECONDS if until_due is None else min(until_due, _IDLE_SECONDS)

    async def _process_inbox(self) -> None:
        messages, self._inbox = self._inbox, []
        actions: list[action.Action] = []
        for message in messages:
            self._state, more = advance(self._deps.plan, self._state, message.event, self._deps.now())
            actions += more
        # Events of started executions alone can be stored with the next commit.
        if actions or not all(isinstance(message.event, event.ExecutionStarted) for message in messages):
            self._assign_spools(actions)
            committed = asyncio.Event()
            actions = self._prepare(actions, committed)
            await self._commit(messages)
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

    async def _flush(self) -> None:
        """Store the events of the inbox; the server that adopts the run carries out their actions."""
        messages, self._inbox = self._inbox, []
        for message in messages:
            self._state, actions = advance(self._deps.plan, self._state, message.event, self._deps.now())
            self._assign_spools(actions)
        await self._commit(messages)

    # -- storing ---------------------------------------------------------------------------------------------

    def _assign_spools(self, actions: Iterable[action.Action]) -> None:
        """Store the spool path of an execution in the commit that starts it: adoption looks for its files there."""
        for requested in actions:
            if isinstance(requested, action.StartStep):
                self._executor.assign_spool(requested.key, requested.execution)
                self._dirty.add(requested.key)

    async def _commit(self, messages: list[_Message]) -> None:
        after = self._state
        if after.phase is Phase.CLOSED and self._stored.status in (RunStatus.NOT_STARTED, RunStatus.QUEUED):
            # A run without steps starts and finishes in one transition; its rows still pass through every status.
            self._state = msgspec.structs.replace(
                self._stored, status=RunStatus.RUNNING, phase=Phase.STEPS, started_at=after.started_at
            )
            await self._record([])
            self._state = after
        await self._record(messages)

    async def _record(self, messages: list[_Message]) -> None:
        transition = self._transition(messages)
        if transition is not None:
            await self._recorder.record(transition)
            self._has_progressed = self._has_progressed or bool(transition.events)
            self._append_log(row_mapping.stored_events(transition.events))
            if self._deps.notify is not None:
                self._deps.notify(self._state, transition.events)

    def _append_log(self, events: Sequence[EventRow]) -> None:
        if events and self._deps.log_file is not None:
            self._deps.log_file.append(events)

    def _transition(self, messages: list[_Message]) -> Transition | None:
        now = self._deps.now()
        changes = history.changes(self._stored, self._state)
        chunks = [row for m in messages if m.node for row in self._chunk_rows(m.node, m.chunks, _execution(m.event))]
        keys = {change.key for change in changes if change.key is not None} | self._dirty
        requests = [message.request for message in messages if message.request]
        if not (keys or changes or chunks or requests or self._evaluated or self._asked):
            self._stored = self._state
            return None
        events = row_mapping.event_rows(self.run.key, self.run.attempt, self._last_seq, changes, now)
        run_changed = any(change.key is None for change in changes)
        is_closed = self._state.phase is Phase.CLOSED
        closed_at = self._state.finished_at if is_closed else None
        transition = Transition(
            fence=self.fence,
            nodes=[self._node_row(key) for key in sorted(keys)],
            events=events,
            chunks=chunks,
            run=row_mapping.run_row(self._state) if run_changed else None,
            attempt=row_mapping.attempt_row(self._state, closed_at) if run_changed else None,
            requests=requests,
            requests_handled_at=now,
            errors=row_mapping.errors_of(self._state) if run_changed and is_closed else None,
            evaluated=self._evaluated,
            approvals=self._asked,
        )
        self._evaluated, self._asked = None, []
        self._stored, self._last_seq = self._state, self._last_seq + len(events)
        self._dirty = set()
        return transition

    def _node_row(self, key: int) -> row_mapping.Row:
        state = self._state.handlers[key] if key < 0 else self._state.steps[key]
        records = self._executor.nodes.get(key).records
        row = row_mapping.node_row(self.run.key, self.run.attempt, key, state, records)
        return redact_node(row, records.hidden, self.run.masker, self._deps.encrypter) if self.run.masker else row

    def _chunk_rows(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> list[dict[str, Any]]:
        return node.chunk_rows(
            chunks, run=self.run.key, attempt=self.run.attempt, execution=execution, at=self._deps.now()
        )

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
                self._executor.kill(requested.key)
            case action.CloseRun():
                pass  # the commit that closed the run has been made already
            case _:
                assert_never(requested)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
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


def _execution(posted: event.Event) -> int:
    return posted.execution if isinstance(posted, event.StepExited) else 0
