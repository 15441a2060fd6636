"""Drives one run: facts come in, the engine decides, the state is stored, orders are carried out.

The order of these three is the whole point. A step begins only after the commit that says it runs, and its
last output is stored with its end, so whoever sees "finished" can read everything (house design section 8).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, assert_never

import msgspec

from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories.runs.run_writes import Fence, Transition
from dagbook.db.repositories.runs.runs import StopRequest
from dagbook.engine import action, event, history
from dagbook.engine.advance import advance, due, resume
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import RunStatus
from dagbook.runs.evaluation.inputs import create_workdir
from dagbook.runs.output.output_follower import Chunk, StreamOffset
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.runner_deps import RunnerDeps
from dagbook.runs.runner.step_executor import StepExecutor
from dagbook.runs.store import row_mapping
from dagbook.runs.store.claimed_run import ClaimedRun
from dagbook.runs.store.recorder import Recorder
from dagbook.runs.store.secret_columns import redact_event, redact_node
from dagbook.telemetry.logging import log_masking
from dagbook.telemetry.request_id import request_id

_log = logging.getLogger(__name__)
_IDLE_SECONDS = 0.25  # how long the beginning of a process may wait for another commit to go with


class _Message(msgspec.Struct, frozen=True):
    event: event.Event
    node: NodeExecution | None = None
    chunks: list[Chunk] = []
    request: int = 0  # the request that it answers


class Runner:
    """The one driver of a run in this process."""

    def __init__(
        self,
        run: ClaimedRun,
        state: RunState,
        recorder: Recorder,
        deps: RunnerDeps,
        records: Mapping[int, row_mapping.NodeRecord],
    ) -> None:
        self.run = run
        self.fence = Fence(run.key, run.attempt, run.token)
        self._state = state
        self._stored = state
        self._last_seq = run.last_seq
        self._recorder = recorder
        self._deps = deps
        self._work = StepExecutor(run, self, deps, records)
        self._inbox: list[_Message] = []
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._dirty: set[int] = set()
        self._detached = False
        self._asked: set[int] = set()  # requests to stop that it knows of
        self._failure: BaseException | None = None
        self._orders: tuple[action.Action, ...] = ()
        self._untold: list[Mapping[str, Any]] = []  # stored with the acceptance, not in the log file yet

    # -- what others tell it ---------------------------------------------------------------------------------

    def post(self, fact: event.Event, node: NodeExecution | None = None, chunks: list[Chunk] | None = None) -> None:
        """Tell the run a fact; output that belongs with it is stored in the same commit."""
        if node is not None:
            self._dirty.add(node.key)
        if self.run.masker:
            fact = redact_event(fact, self.run.masker)
        self._inbox.append(_Message(fact, node, chunks or []))
        self._wake.set()

    def request_stop(self, request: StopRequest) -> None:
        """Tell the run that somebody asked it to stop; a request counts once, whoever tells of it."""
        if request.id not in self._asked:
            self._asked.add(request.id)
            self._inbox.append(_Message(event.StopRequested(at_once=request.at_once), request=request.id))
            self._wake.set()

    def detach(self) -> None:
        """Let go of the run: its steps go on without this server, and another one takes it over."""
        self._detached = True
        self._wake.set()

    def pause_starts(self) -> None:
        """Begin no step any more that would end with this process: the next server begins it."""
        self._work.pause_in_process()

    async def drain(self) -> None:
        """Return when no step is left that would end with this process."""
        self.pause_starts()
        await self._work.wait_for_in_process()

    def abandon(self, error: BaseException) -> None:
        """Let go of a run that cannot be driven any more."""
        if self._state.phase is not Phase.CLOSED:
            self._failure = error
            self.detach()

    def resume_log(self, key: int, positions: dict[int, StreamOffset], ordinal: int) -> None:
        """Let a node's log go on where its stored part ends."""
        node = self._work.nodes.get(key)
        node.positions, node.ordinal = positions, ordinal

    async def store_log(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> None:
        """Store output of a step that still runs."""
        await self._recorder.store_log(Transition(fence=self.fence, chunks=self._chunk_rows(node, chunks, execution)))

    async def store_node(self, node: NodeExecution) -> None:
        """Store what is kept of a node, and the state as it is."""
        self._dirty.add(node.key)
        await self._record([])

    @property
    def state(self) -> RunState:
        """The state as the engine last left it."""
        return self._state

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended and its end is stored."""
        return self._stored.phase is Phase.CLOSED

    # -- its life --------------------------------------------------------------------------------------------

    def start(self, accepted: Iterable[Mapping[str, Any]], problem: str = "") -> Transition | None:
        """Begin a run that is being accepted; what this returns belongs into the commit that accepts it.

        With a problem the run fails in that commit; that its directory cannot be made is one.
        """
        self._untold = list(accepted)
        problem = problem or self.run.masker.mask(create_workdir(self.run.inputs))
        began = event.RunStarted(problem=problem)
        self._state, self._orders = advance(self._deps.plan, self._state, began, self._deps.now())
        if self._state.phase is Phase.CLOSED and not problem:
            return None
        self._assign_spools(self._orders)
        transition = self._transition([])
        self._untold += transition.events if transition else ()
        return transition

    async def drive(self) -> None:
        """Drive the run until it is closed or let go of; raises FenceLostError, and whatever else ended it."""
        log_masking.set(self.run.masker.mask)  # of what this task and those it begins tell the server's log
        request_id.set("")  # the request that began the run has its answer; this task outlives it
        try:
            await self._resume()
            while self._state.phase is not Phase.CLOSED and not self._detached:
                await self._wait()
                await self._process_inbox()
            if self._detached and self._failure is None and self._inbox:
                await self._flush()
        finally:
            self._end_tasks()
        if self._failure is not None:
            raise self._failure
        if self._state.phase is Phase.CLOSED:
            await self._work.resources.release()
            self._work.remove_files()

    async def _resume(self) -> None:
        try:
            await self._deps.restored_logs.restore()
        except OSError as error:  # a step that wants to read such a file says so itself
            _log.warning("output kept of run %s/%s: %s", self.run.dag_name, self.run.run_id, error)
        self._append_log(self._untold)
        if self._state.phase is Phase.NEW:
            self.post(event.RunStarted())
            return
        if self._state is not self._stored:
            await self._commit([])
        for order in self._orders or resume(self._deps.plan, self._state):
            self._perform(order)

    async def _wait(self) -> None:
        if self._inbox:
            return
        self._wake.clear()
        limit = self._seconds_to_next()
        try:
            async with asyncio.timeout(limit):
                await self._wake.wait()
        except TimeoutError:
            self.post(event.TimerFired())

    def _seconds_to_next(self) -> float | None:
        instant = due(self._deps.plan, self._state)
        until_due = None if instant is None else max((instant - self._deps.now()).total_seconds(), 0.0)
        if not self._has_unstored():
            return until_due
        return _IDLE_SECONDS if until_due is None else min(until_due, _IDLE_SECONDS)

    def _has_unstored(self) -> bool:
        return self._state is not self._stored or bool(self._dirty)

    async def _process_inbox(self) -> None:
        messages, self._inbox = self._inbox, []
        orders: list[action.Action] = []
        for message in messages:
            self._state, more = advance(self._deps.plan, self._state, message.event, self._deps.now())
            orders += more
        if orders or not _may_wait(messages):
            self._assign_spools(orders)
            committed = asyncio.Event()
            orders = self._prepare(orders, committed)
            await self._commit(messages)
            committed.set()
        for order in orders:
            self._perform(order)

    def _prepare(self, orders: list[action.Action], committed: asyncio.Event) -> list[action.Action]:
        """Prepare steps while the commit that starts them is under way; return the orders that wait for the commit."""
        left: list[action.Action] = []
        for order in orders:
            if isinstance(order, action.StartStep) and self._work.may_prepare(order.key):
                self._spawn(self._work.execute(order.key, order.execution, committed))
            else:
                left.append(order)
        return left

    async def _flush(self) -> None:
        """Store what is known already; what follows from it is up to whoever takes over."""
        messages, self._inbox = self._inbox, []
        for message in messages:
            self._state, orders = advance(self._deps.plan, self._state, message.event, self._deps.now())
            self._assign_spools(orders)
        await self._commit(messages)

    # -- storing ---------------------------------------------------------------------------------------------

    def _assign_spools(self, orders: Iterable[action.Action]) -> None:
        """Let a step's directory be part of the commit that lets it begin."""
        for order in orders:
            if isinstance(order, action.StartStep):
                self._work.assign_spool(order.key, order.execution)
                self._dirty.add(order.key)

    async def _commit(self, messages: list[_Message]) -> None:
        after = self._state
        if after.phase is Phase.CLOSED and self._stored.status in (RunStatus.NOT_STARTED, RunStatus.QUEUED):
            # A run without steps begins and ends in one turn; each row goes through every status all the same.
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
            self._append_log(transition.events)
            if self._deps.notify is not None:
                self._deps.notify(self._state, transition.events)

    def _append_log(self, events: Sequence[Mapping[str, Any]]) -> None:
        if events and self._deps.log_file is not None:
            self._deps.log_file.append(events)

    def _transition(self, messages: list[_Message]) -> Transition | None:
        now = self._deps.now()
        changes = history.changes(self._stored, self._state)
        chunks = [row for m in messages if m.node for row in self._chunk_rows(m.node, m.chunks, _execution(m.event))]
        keys = {change.key for change in changes if change.key is not None} | self._dirty
        requests = [message.request for message in messages if message.request]
        if not (keys or changes or chunks or requests):
            self._stored = self._state
            return None
        events = row_mapping.event_rows(self.run.key, self.run.attempt, self._last_seq, changes, now)
        run_changed = any(change.key is None for change in changes)
        transition = Transition(
            fence=self.fence,
            nodes=[self._node_row(key) for key in sorted(keys)],
            events=events,
            chunks=chunks,
            run=row_mapping.run_row(self._state) if run_changed else None,
            attempt=row_mapping.attempt_row(self._state, self._closed_at()) if run_changed else None,
            requests=requests,
            requests_handled_at=now,
            errors=row_mapping.errors_of(self._state) if run_changed and self._state.phase is Phase.CLOSED else None,
        )
        self._stored, self._last_seq = self._state, self._last_seq + len(events)
        self._dirty = set()
        return transition

    def _closed_at(self) -> datetime | None:
        return self._state.finished_at if self._state.phase is Phase.CLOSED else None

    def _node_row(self, key: int) -> row_mapping.Row:
        state = self._state.handlers[key] if key < 0 else self._state.steps[key]
        records = self._work.nodes.get(key).records
        row = row_mapping.node_row(self.run.key, self.run.attempt, key, state, records)
        return redact_node(row, records.hidden, self.run.masker, self._deps.encrypter) if self.run.masker else row

    def _chunk_rows(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> list[dict[str, Any]]:
        return node.chunk_rows(
            chunks, run=self.run.key, attempt=self.run.attempt, execution=execution, at=self._deps.now()
        )

    # -- carrying out ----------------------------------------------------------------------------------------

    def _perform(self, order: action.Action) -> None:
        match order:
            case action.CheckConditions():
                self._spawn(self._work.checks.conditions(order.key))
            case action.StartStep():
                self._spawn(self._work.execute(order.key, order.execution))
            case action.AdoptStep():
                self._spawn(self._work.adopt(order.key, order.execution))
            case action.CheckRepeat():
                self._spawn(self._work.checks.repeat(order.key, order.execution))
            case action.SignalStep():
                self._work.signal(order.key, order.signal)
            case action.KillStep():
                self._work.kill(order.key)
            case action.CloseRun():
                pass  # the commit that closed the run has been made already
            case _:
                assert_never(order)

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

    def _end_tasks(self) -> None:
        self._work.detach()
        for task in self._tasks:
            task.cancel()


def _may_wait(messages: list[_Message]) -> bool:
    """Whether nothing but beginnings of processes happened: they can be stored with what comes next."""
    return all(isinstance(message.event, event.ExecutionStarted) for message in messages)


def _execution(fact: event.Event) -> int:
    return fact.execution if isinstance(fact, event.StepExited) else 0
