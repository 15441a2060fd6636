"""Starts of attempts: the first transition of a new run, a retry or a queued run is stored with its acceptance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from dagbook.audit_entry import NewAuditEntry
from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import changes, queue
from dagbook.db.repositories.runs import run_writes, runs
from dagbook.db.repositories.runs.run_rows import ReopenedRun
from dagbook.db.repositories.runs.run_writes import Claim, Fence, NewAttempt
from dagbook.db.repositories.runs.runs import CompleteRun, EventRow, NodeRow
from dagbook.db.repositories.services import WORKER
from dagbook.engine.plan import Plan, initial_state, node_of, retry_state
from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError, InvalidSpecError
from dagbook.identifiers import shorten
from dagbook.runs.evaluation.inputs import prepare_again
from dagbook.runs.evaluation.secret_values import resolve_secrets
from dagbook.runs.model import BATCH_PRIORITY, ClaimedRun, RetryOptions, RunLocation, RunRequest
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.runner.preparation import RunPreparation
from dagbook.runs.runner.runner import Runner
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import row_mapping, run_loading
from dagbook.runs.store.finishing import force_finish
from dagbook.runs.store.new_run import CHANGED, as_queued, attempt_row, new_run, secret_entry, with_queue_limit
from dagbook.runs.store.recorder import Recorder, RunRefusedError
from dagbook.runs.store.row_mapping import NodeRecord, evaluated_inputs, read_record
from dagbook.runs.store.run_loading import StoredRun
from dagbook.runs.wakeups import QueueSignal
from dagbook.spec.reading.definition_cache import DefinitionCache

T = TypeVar("T")
PreparedRun = tuple[Runner, Claim, datetime]
_MAX_TRIES = 5
_PLACEHOLDER_TOKEN = 1


class AttemptStarter:
    """Stores the starts of attempts, and makes their runners."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        library: DefinitionCache,
        context: ServerContext,
        preparation: RunPreparation,
    ) -> None:
        self.database = database
        self.recorder = recorder
        self.context = context
        self.changed = QueueSignal()  # of runs that are queued, dequeued or have finished
        self._library = library
        self._preparation = preparation

    def make_runner(self, run: ClaimedRun, state: RunState, records: dict[int, NodeRecord]) -> Runner:
        """Make a runner that has not been started."""
        run.masker.add_secrets(value for known in records.values() for value in known.hidden)
        return Runner(run, state, self.recorder, self._preparation, records)

    # -- new runs --------------------------------------------------------------------------------------------

    async def accept(self, request: RunRequest, run: ClaimedRun) -> Runner | None:
        """Store a new run with the first transition of its runner, and return the runner; None if it was queued.

        It is queued if its queue is full, or if it needs a worker. Raises RunRefusedError, and EncryptionError if its
        secrets cannot be encrypted.
        """
        if self.context.queues.sends_to_worker(run.definition.dag.worker_selector):
            # A sub-run gets a queue of its own: no queue and no limit counts it (runtime 25.4).
            if run.lineage is not None:
                run = msgspec.structs.replace(run, queue=f"called run {run.run_id}")
            await self.enqueue(request, run)
            return None
        run, problem = await resolve_secrets(run, self.context.machine)
        runner = self.make_runner(run, initial_state(Plan.of(run.definition.dag)), {})
        new = with_queue_limit(new_run(request, run, self.context), self.context.queues)
        new = msgspec.structs.replace(new, first_steps=runner.start(new.events, problem))
        if await self.recorder.accept(new):
            self.changed.notify(run.queue)
            return None
        return runner

    async def enqueue(self, request: RunRequest, run: ClaimedRun) -> None:
        """Store a new run as queued; raises as ``accept``.

        Its secrets are resolved here only to mask its rows; they are resolved again when it starts.
        """
        run, _ = await resolve_secrets(run, self.context.machine)
        await self.recorder.accept(as_queued(new_run(request, run, self.context)))
        self.changed.notify(run.queue)

    # -- stored runs -----------------------------------------------------------------------------------------

    async def _load(self, key: int) -> StoredRun:
        """Load a run; raises InvalidSpecError if its text cannot be parsed any more, and as ``run_loading.load``."""
        found = await self.database.read_inline(
            lambda connection: run_loading.load(connection, self._library, self.context.encrypter, key)
        )
        if found.loaded.problems:
            raise InvalidSpecError(found.loaded.problems)
        return found

    async def _claimed_run(
        self, found: StoredRun, *, attempt: int, token: int, last_seq: int, directory: str = ""
    ) -> tuple[ClaimedRun, str]:
        """Return the run as claimed by this server, and a problem that fails it, or "".

        Its inputs, or its dotenv files alone, are evaluated if that runs nothing; else they are pending.

        ``directory`` is the working directory of the calling step of a sub-run, if known. Raises BadRequestError if
        the dotenv files cannot be evaluated, or if a sub-run would leave the account of its caller's environment.
        """
        run, inputs, definition = found.run, found.inputs, found.loaded.definition
        if found.account_changed:
            raise BadRequestError(
                f"the account of DAG {shorten(run.dag_name)} was changed after this run was called; start the run that "
                "called it again"
            )
        location = RunLocation.of(
            self.context,
            source_directory=inputs.source_directory,
            run_as=inputs.run_as,
            environ=inputs.base_environment,
            caller_directory=directory,
            crosses_accounts=run.root_id is not None and inputs.base_environment is None,
        ).with_variables(inputs.variables)
        if run.file_name is None and run.root_id is None:
            location = location.in_private_directory(RunSpool(self.context.spool, run.id, attempt))
        owned = ClaimedRun(
            key=run.id,
            dag_name=run.dag_name,
            run_id=run.run_id,
            attempt=attempt,
            token=token,
            definition=definition,
            inputs=await prepare_again(definition.dag, inputs, location),
            last_seq=last_seq,
            queue=run.queue,
            lineage=found.lineage,
        )
        return await resolve_secrets(owned, self.context.machine)

    def _stored_runner(self, owned: ClaimedRun, state: RunState, nodes: Sequence[NodeRow]) -> Runner:
        """Make the runner of a stored run; ``nodes`` are the first nodes of the attempt."""
        return self.make_runner(owned, state, {row.position: read_record(row, self.context.encrypter) for row in nodes})

    async def _history(self, runner: Runner) -> Sequence[EventRow]:
        """Return the events so far for the run's log file, which this server has to write; empty if no step uses it."""
        if not runner.writes_log:
            return ()
        return await self.database.read(lambda connection: runs.get_events(connection, runner.run.key))

    # -- retries ---------------------------------------------------------------------------------------------

    async def retry(self, key: int, retry: RetryOptions) -> Runner | None:
        """Store the next attempt of a run with the first transition of its runner, and return the runner.

        Returns None if the attempt was queued, because its queue is full. Raises RunRefusedError; DefinitionGoneError
        if the definition was redacted; InvalidSpecError if it cannot be parsed any more; BadRequestError if the dotenv
        files cannot be evaluated, or the one step is behind an approval that was not given; EncryptionError if this
        server cannot decrypt the secrets.
        """
        return await _retry_on_conflict(lambda: self._retry(key, retry))

    async def _retry(self, key: int, retry: RetryOptions) -> Runner | None:
        before = await self._load(key)
        owned, problem = await self._claimed_run(
            before,
            attempt=retry.attempt or before.run.attempt + 1,
            token=_PLACEHOLDER_TOKEN,
            last_seq=before.last_seq + 1,
            directory=retry.directory,
        )
        plan = Plan.of(owned.definition.dag)
        if retry.step is not None:
            require_approvals(plan, retry.step, before.state.steps, "retry the run, which asks for it")
        state = retry_state(plan, before.state, retry.step)
        nodes = _retry_nodes(before.nodes, state, owned.attempt)
        new = self._new_attempt(before, owned, state, nodes, retry)
        runner = self._stored_runner(owned, state, nodes)
        events = [*await self._history(runner), *new.events]
        new = msgspec.structs.replace(new, first_steps=runner.start(events, problem))
        if retry.item or (new.selector and new.queue):  # a sub-run that was started without a worker has no queue
            new = as_queued(new)
        if await self.recorder.accept(new):
            self.changed.notify()
            return None
        return runner

    def _new_attempt(
        self,
        before: StoredRun,
        owned: ClaimedRun,
        state: RunState,
        nodes: Sequence[NodeRow],
        retry: RetryOptions,
    ) -> NewAttempt:
        now = self.context.now()
        queues, selector = self.context.queues, owned.definition.dag.worker_selector
        step = None if retry.step is None else owned.definition.dag.steps[retry.step].name
        inputs = evaluated_inputs(owned, self.context.encrypter)
        opened = attempt_row(owned, self.context.identity, now, retry.principal)
        event = row_mapping.retried_event(
            owned.key, now, seq=owned.last_seq, attempt=owned.attempt, actor=retry.actor_label, step=step
        )
        new = NewAttempt(
            key=owned.key,
            dag_name=owned.dag_name,
            run_id=owned.run_id,
            previous=owned.attempt - 1,
            last_seq=before.last_seq,
            queue=owned.queue,
            max_active_runs=before.run.max_active_runs,
            admission=retry.admission,
            selector=selector if queues.sends_to_worker(selector) else None,
            item=retry.item,
            priority=BATCH_PRIORITY if retry.item else 0,
            run=ReopenedRun(
                id=owned.key,
                status=RunStatus.NOT_STARTED,
                attempt=owned.attempt,
                params=inputs.inputs.params,
                params_text=inputs.params_text,
                queued_at=before.run.queued_at,
            ),
            attempt=msgspec.structs.replace(opened, status=state.status, state=row_mapping.attempt_state(state)),
            inputs=inputs.inputs,
            uses=inputs.uses,
            nodes=nodes,
            events=[event],
            audit=_audit_entry(before.run, owned.attempt, step, retry.actor, now),
            secret_audit=secret_entry(owned, retry.actor, now, reads_sealed=before.run.sealed is not None),
        )
        return with_queue_limit(new, queues)

    # -- queued runs -----------------------------------------------------------------------------------------

    async def start_queued(self, keys: Sequence[int]) -> list[Runner | BaseException]:
        """Dequeue runs, store the first transition of their runners, and return the runners or the errors, by key.

        Usually all in one commit. The error is RunRefusedError if the run is not the next of its queue any more, which
        is harmless. With another one the run has to be failed: DefinitionGoneError if the definition was redacted,
        InvalidSpecError if it cannot be parsed any more, BadRequestError if the dotenv files cannot be evaluated,
        EncryptionError if this server cannot decrypt the secrets.
        """
        prepared = await asyncio.gather(*(self._prepare(key) for key in keys), return_exceptions=True)
        # Claims that reach the recorder together, and in order, share one commit.
        claims = (self._claim(key, result) for key, result in zip(keys, prepared, strict=True))
        return await asyncio.gather(*claims, return_exceptions=True)

    async def _prepare(self, key: int) -> PreparedRun:
        found = await self._load(key)
        attempt = found.attempt
        owned, problem = await self._claimed_run(
            found, attempt=attempt.number, token=attempt.token + 1, last_seq=found.last_seq
        )
        runner = self._stored_runner(owned, found.state, found.nodes)
        identity = self.context.identity
        claim = Claim(
            fence=runner.fence,
            last_seq=owned.last_seq,
            queue=owned.queue,
            owner=identity.id,
            host=identity.host_key,
            inputs=evaluated_inputs(owned, self.context.encrypter),
            first_steps=runner.start(await self._history(runner), problem),
            by_worker=identity.kind == WORKER,
        )
        return runner, claim, attempt.opened_at

    async def _claim(self, key: int, prepared: PreparedRun | BaseException) -> Runner:
        first: list[PreparedRun | BaseException] = [prepared]

        async def claim_once() -> Runner:
            found = first.pop() if first else await self._prepare(key)
            if isinstance(found, BaseException):
                raise found
            runner, claim, queued_at = found
            await self.recorder.claim(claim)
            waited = (self.context.now() - queued_at).total_seconds()
            self.context.metrics.observe_wait(runner.run.dag_name, max(waited, 0.0))
            return runner

        return await _retry_on_conflict(claim_once)

    async def end_queued(self, key: int, status: RunStatus, reason: str) -> bool:
        """End a queued run without starting it; returns False if it is not queued any more."""

        def end(connection: WriteConnection) -> bool:
            run = runs.get_complete(connection, key) if run_writes.lock_queued(connection, {key}) else None
            if run is None or not queue.remove_entries(connection, {key}):
                return False
            changes.add_queue_changes(connection, [run.queue])
            force_finish(connection, Fence(key, run.attempt, 0), status, reason, self.context.now())
            return True

        return await self.database.write(end)


def require_approvals(plan: Plan, key: int, steps: Sequence[NodeState], instead: str) -> None:
    """Raise BadRequestError if a step depends on an approval that was not given."""
    if (above := plan.find_open_approval(key, steps)) is not None:
        name, approval = (shorten(plan.dag.steps[each].name) for each in (key, above))
        raise BadRequestError(f"step {name} depends on the approval {approval}, which was not given; {instead}")


def _audit_entry(
    run: CompleteRun, attempt: int, step: str | None, actor: Actor | None, now: datetime
) -> NewAuditEntry | None:
    if actor is None:
        return None
    was = {"attempt": run.attempt, "status": run.status.label}
    after = {"attempt": attempt, **({"step": step} if step is not None else {})}
    return actor.entry(run_action(Action.RUN_RETRY, run, was, after), now)


def _retry_nodes(before: Sequence[NodeRow], state: RunState, attempt: int) -> list[NodeRow]:
    """Make the node rows of a new attempt: retained nodes keep all columns, the others are blank."""
    rows = []
    for row in before:
        node = node_of(state, row.position)
        if node.status.is_final:
            # Its process has exited and its files are removed; its output stays with the attempt that ran it.
            log, no_process = row.log_attempt or row.attempt, {"pid": None, "pid_started": None, "spool": None}
            rows.append(msgspec.structs.replace(row, attempt=attempt, log_attempt=log, **no_process))
            continue
        blank = row_mapping.node_change(row.run_id, attempt, row.position, node, NodeRecord())
        rows.append(row_mapping.new_node(blank, row.name))
    return rows


async def _retry_on_conflict(work: Callable[[], Awaitable[T]]) -> T:
    """Repeat work that reads a run and then writes it, up to 5 times, while the run is changed in between.

    A step status that a user edits after the read must be taken into account.
    """
    for _ in range(_MAX_TRIES - 1):
        try:
            return await work()
        except RunRefusedError as error:
            if error.refusal.code != CHANGED:
                raise
    return await work()
