"""Journal of one attempt: the events that it received, the state that followed, and what of both is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from dagbook.db.repositories.alerts.run_mails import NewRunMail
from dagbook.db.repositories.runs.run_rows import EvaluatedInputs, NewApproval, NewChunk, NewSummary
from dagbook.db.repositories.runs.run_writes import Fence, Transition
from dagbook.db.repositories.runs.runs import EventRow, NodeChange, StopRequest
from dagbook.engine import action, event, history
from dagbook.engine.advance import advance
from dagbook.engine.plan import node_of
from dagbook.engine.state import Phase, RunState
from dagbook.engine.status import RunStatus
from dagbook.runs.output.output_follower import Chunk
from dagbook.runs.runner.approval import ApprovalRequest
from dagbook.runs.runner.nodes import NodeExecution, NodeRegistry
from dagbook.runs.runner.preparation import RunnerDeps
from dagbook.runs.store import row_mapping
from dagbook.runs.store.recorder import Recorder
from dagbook.runs.store.row_mapping import redact_event, redact_node
from dagbook.spec.tracing import name_receiver


class Message(msgspec.Struct, frozen=True):
    """Event of an attempt, with the output and the summary of its node that are stored in the same commit."""

    event: event.Event
    node: NodeExecution | None = None
    chunks: list[Chunk] = []
    summary: str = ""
    request: int = 0  # id of the stop request that it handles


class Journal:
    """Inbox, state and stored history of one attempt, under its fencing token."""

    def __init__(
        self, state: RunState, recorder: Recorder, deps: RunnerDeps, records: Mapping[int, row_mapping.NodeRecord]
    ) -> None:
        run = deps.run
        self.fence = Fence(run.key, run.attempt, run.token)
        self.state = state  # the latest, possibly not stored yet
        self._stored = state
        self._last_seq = run.last_seq
        self._recorder = recorder
        self._records = records
        self.use(deps)
        self.woken = asyncio.Event()  # set by each message
        self._inbox: list[Message] = []
        self._dirty: set[int] = set()
        self._stop_requests: set[int] = set()  # ids of those received
        self._unlogged: list[EventRow] = []  # events stored with the acceptance, not yet in the log file
        self._evaluated: EvaluatedInputs | None = None  # inputs that are stored with the start of the attempt
        self._asked: list[NewApproval] = []  # approvals that are stored with the next commit
        self.has_progressed = False  # an event of this process is stored

    def use(self, deps: RunnerDeps) -> None:
        """Work with other parts from now on, because the inputs of the run were evaluated."""
        self.deps = deps
        self.nodes = NodeRegistry(deps, self._records)

    def store_inputs(self) -> None:
        """Store the evaluated inputs with the next commit; raises EncryptionError."""
        self._evaluated = row_mapping.evaluated_inputs(self.deps.run, self.deps.context.encrypter)

    # -- inbox -----------------------------------------------------------------------------------------------

    @property
    def has_messages(self) -> bool:
        """Whether messages were posted that the state does not reflect yet."""
        return bool(self._inbox)

    def post(
        self,
        event: event.Event,
        node: NodeExecution | None = None,
        chunks: list[Chunk] | None = None,
        summary: str = "",
    ) -> None:
        """Queue an event; the chunks and the summary of its node are stored in the same commit."""
        if node is not None:
            self._dirty.add(node.key)
        if self.deps.run.masker:
            event = redact_event(event, self.deps.run.masker)
        self._inbox.append(Message(event, node, chunks or [], summary))
        self.woken.set()

    def request_stop(self, request: StopRequest) -> None:
        """Queue a stop request; repeated deliveries of the same request are ignored."""
        if request.id not in self._stop_requests:
            self._stop_requests.add(request.id)
            self._inbox.append(Message(event.StopRequested(at_once=request.at_once), request=request.id))
            self.woken.set()

    def take_messages(self) -> tuple[list[Message], list[action.Action]]:
        """Apply the messages to the state; returns them, to be committed, and the actions that follow."""
        messages, self._inbox = self._inbox, []
        actions: list[action.Action] = []
        for message in messages:
            actions += self.apply(message.event)
        return messages, actions

    def apply(self, event: event.Event) -> tuple[action.Action, ...]:
        """Apply an event to the state; returns the actions that follow, with the spools of new executions assigned."""
        self.state, actions = advance(self.deps.plan, self.state, event, self.deps.context.now())
        for requested in actions:
            if isinstance(requested, action.StartStep):
                # Stored in the commit that starts the execution: adoption looks for its files there.
                node = self.nodes.get(requested.key)
                node.records.spool = node.files(requested.execution).base
                self._dirty.add(requested.key)
        return actions

    # -- storing ---------------------------------------------------------------------------------------------

    @property
    def is_stored(self) -> bool:
        """Whether the state and the records of all nodes are stored."""
        return self.state is self._stored and not self._dirty

    @property
    def is_end_stored(self) -> bool:
        """Whether the end of the run is stored."""
        return self._stored.phase is Phase.CLOSED

    def accept(self, accepted: Iterable[EventRow]) -> None:
        """Take the events that are stored when the attempt is accepted, for the log file of the run."""
        self._unlogged = list(accepted)

    def first_transition(self) -> Transition | None:
        """Return the transition to be stored in the commit that accepts the attempt."""
        transition = self._transition([])
        self._unlogged += transition.events if transition else ()
        return transition

    async def resume(self) -> None:
        """Store a state that is not stored yet, and write what the acceptance has stored into the log file."""
        self._append_log(self._unlogged)
        self._start_mails()
        if self.state.phase is not Phase.NEW and self.state is not self._stored:
            await self.commit([])

    async def store_log(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> None:
        """Store output of a step that is still running."""
        await self._recorder.store_log(Transition(fence=self.fence, chunks=self._chunk_rows(node, chunks, execution)))

    async def store_node(self, node: NodeExecution) -> None:
        """Store the record of a node with the current state; returns after the commit."""
        self._dirty.add(node.key)
        await self._record([])

    async def ask(self, node: NodeExecution, asked_at: datetime, request: ApprovalRequest) -> None:
        """Store what a step asks, with the record of its node; returns after the commit."""
        run = self.deps.run
        masked = {
            name: row_mapping.mask_tree(value, run.masker) for name, value in msgspec.structs.asdict(request).items()
        }
        approval = NewApproval(
            run_id=run.key, attempt=run.attempt, position=node.key, asked_at=asked_at, request=masked
        )
        self._asked.append(approval)
        await self.store_node(node)

    async def commit(self, messages: list[Message]) -> None:
        """Store the state after messages; raises FenceLostError."""
        after = self.state
        if after.phase is Phase.CLOSED and self._stored.status in (RunStatus.NOT_STARTED, RunStatus.QUEUED):
            # A run without steps starts and finishes in one transition; its rows still pass through every status.
            self.state = msgspec.structs.replace(
                self._stored, status=RunStatus.RUNNING, phase=Phase.STEPS, started_at=after.started_at
            )
            await self._record([])
            self.state = after
        await self._record(messages)

    async def _record(self, messages: list[Message]) -> None:
        transition = self._transition(messages)
        if transition is not None:
            await self._recorder.record(transition)
            self.has_progressed = self.has_progressed or bool(transition.events)
            self._append_log(transition.events)
            self._start_mails()

    def _start_mails(self) -> None:
        if self.deps.mails is not None:
            self.deps.mails.start()

    def _append_log(self, events: Sequence[EventRow]) -> None:
        if events and self.deps.log_file is not None:
            self.deps.log_file.append(events)

    def _transition(self, messages: list[Message]) -> Transition | None:
        run, now = self.deps.run, self.deps.context.now()
        changes = history.changes(self._stored, self.state)
        chunks = [row for m in messages if m.node for row in self._chunk_rows(m.node, m.chunks, _execution(m.event))]
        keys = {change.key for change in changes if change.key is not None} | self._dirty
        requests = [message.request for message in messages if message.request]
        summaries = [
            NewSummary(run_id=run.key, attempt=run.attempt, position=message.node.key, text=message.summary)
            for message in messages
            if message.node and message.summary
        ]
        if not (keys or changes or chunks or requests or self._evaluated or self._asked):
            self._stored = self.state
            return None
        events = row_mapping.event_rows(run.key, run.attempt, self._last_seq, changes, now)
        run_changed = any(change.key is None for change in changes)
        is_closed = self.state.phase is Phase.CLOSED
        closed_at = self.state.finished_at if is_closed else None
        mails = self.deps.mails.plan(self.state, events, now) if self.deps.mails is not None else ()
        transition = Transition(
            fence=self.fence,
            nodes=[self._node_row(key) for key in sorted(keys)],
            events=events,
            chunks=chunks,
            run=row_mapping.run_change(run.key, self.state) if run_changed else None,
            attempt=row_mapping.attempt_change(run.key, run.attempt, self.state, closed_at) if run_changed else None,
            requests=requests,
            requests_handled_at=now,
            errors=row_mapping.errors_of(self.state) if run_changed and is_closed else None,
            evaluated=self._evaluated,
            approvals=self._asked,
            summaries=summaries,
            mails=(*mails, *(self._trace(now) if run_changed and is_closed else ())),
        )
        self._evaluated, self._asked = None, []
        self._stored, self._last_seq = self.state, self._last_seq + len(events)
        self._dirty = set()
        return transition

    def _trace(self, now: datetime) -> Sequence[NewRunMail]:
        """Return the trace that is sent after the end of the attempt, if any."""
        run = self.deps.run
        otel = run.definition.dag.otel
        receiver = "" if otel is None else run.masker.mask(name_receiver(otel.endpoint))
        is_root = run.lineage is None
        return row_mapping.trace_rows((run.key, run.attempt), run.inputs.variables, receiver, now, is_root=is_root)

    def _node_row(self, key: int) -> NodeChange:
        run, records = self.deps.run, self.nodes.get(key).records
        row = row_mapping.node_change(run.key, run.attempt, key, node_of(self.state, key), records)
        return redact_node(row, records.hidden, run.masker, self.deps.context.encrypter) if run.masker else row

    def _chunk_rows(self, node: NodeExecution, chunks: list[Chunk], execution: int) -> list[NewChunk]:
        run, now = self.deps.run, self.deps.context.now()
        return node.chunk_rows(chunks, run=run.key, attempt=run.attempt, execution=execution, at=now)


def _execution(posted: event.Event) -> int:
    return posted.execution if isinstance(posted, event.StepExited) else 0
