"""Use cases of finished runs: retries and manual edits of steps (runtime 21.3 to 21.5), stored in one commit.

Works by the key of the run and without a request, so that the retry of a calling step can retry its sub-runs as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from dagbook.auth.audit_context import Action, Actor, NamedRun, run_action
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.runs import runs, status_overrides
from dagbook.db.repositories.runs.run_writes import NewAttempt
from dagbook.db.repositories.runs.runs import CompleteRun, NodeRow, RunRow
from dagbook.db.repositories.runs.status_overrides import StepEdit
from dagbook.engine.plan import Plan, retry_state
from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import BadRequestError, MaxRunReachedError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.runs.model import ClaimedRun, RetryOptions
from dagbook.runs.ports import RunControl
from dagbook.runs.runner.runner import Runner
from dagbook.runs.runner.runner_factory import RunnerFactory, retry_on_conflict
from dagbook.runs.store import row_mapping, run_loading
from dagbook.runs.store.new_run import as_queued, owned_attempt_row, secret_entry, with_queue_limit
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.store.row_mapping import input_row, params_row
from dagbook.runs.store.run_loading import DefinitionGoneError, StoredRun
from dagbook.spec.reading.definition_cache import DefinitionCache

_PLACEHOLDER_TOKEN = 1
_CLEARED = ("started_at", "finished_at", "error", "stop_requested_at", "stop_requested_by")


class RetryService:
    """Stores the next attempts of finished runs."""

    def __init__(self, factory: RunnerFactory) -> None:
        self._factory = factory
        self._context = factory.context

    async def start_attempt(self, key: int, retry: RetryOptions) -> Runner | None:
        """Store the next attempt of a run with the first transition of its runner, and return the runner.

        Returns None if the attempt was queued, because its queue is full. Raises RunRefusedError; DefinitionGoneError
        if the definition was redacted; InvalidSpecError if it cannot be parsed any more; BadRequestError if the dotenv
        files cannot be evaluated, or the one step is behind an approval that was not given; EncryptionError if this
        server cannot decrypt the secrets.
        """
        return await retry_on_conflict(lambda: self._start_attempt(key, retry))

    async def _start_attempt(self, key: int, retry: RetryOptions) -> Runner | None:
        before = await self._factory.load(key)
        owned, problem = await self._factory.claimed_run(
            before,
            attempt=retry.attempt or before.run.attempt + 1,
            token=_PLACEHOLDER_TOKEN,
            last_seq=before.last_seq + 1,
            directory=retry.directory,
        )
        plan = Plan.of(owned.definition.dag)
        if retry.step is not None:
            _check_gates(plan, retry.step, before.state.steps, "retry the run, which asks for it")
        state = retry_state(plan, before.state, retry.step)
        nodes = node_rows(before.nodes, state, owned.attempt)
        new = self._new_attempt(before, owned, state, nodes, retry)
        runner = self._factory.runner(owned, state, nodes)
        history = await self._factory.history(owned)
        events = [*history, *row_mapping.stored_events(new.events)]
        new = msgspec.structs.replace(new, first_steps=runner.start(events, problem))
        if new.selector and new.queue:  # a sub-run that was started without a worker has no queue
            new = as_queued(new)
        queued = await self._factory.recorder.accept(new)
        return None if queued else runner

    def _new_attempt(
        self,
        before: StoredRun,
        owned: ClaimedRun,
        state: RunState,
        nodes: Sequence[NodeRow],
        retry: RetryOptions,
    ) -> NewAttempt:
        now = self._context.now()
        queues, selector = self._context.queues, owned.definition.dag.worker_selector
        step = None if retry.step is None else owned.definition.dag.steps[retry.step].name
        opened = {"status": int(RunStatus.NOT_STARTED), "attempt": owned.attempt, "queued_at": before.run.queued_at}
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
            run={**opened, **dict.fromkeys(_CLEARED), **params_row(owned)},
            attempt=owned_attempt_row(owned, self._context.identity, now, retry.principal)
            | row_mapping.attempt_row(state, None),
            inputs=input_row(owned, self._context.encrypter),
            nodes=[msgspec.structs.asdict(row) for row in nodes],
            events=[event],
            audit=_audit_entry(before.run, owned.attempt, step, retry.actor, now),
            secret_audit=secret_entry(owned, retry.actor, now, reads_sealed=before.run.sealed is not None),
        )
        return with_queue_limit(new, queues)


def _audit_entry(
    run: CompleteRun, attempt: int, step: str | None, actor: Actor | None, now: datetime
) -> row_mapping.Row | None:
    if actor is None:
        return None
    was = {"attempt": run.attempt, "status": run.status.label}
    after = {"attempt": attempt, **({"step": step} if step is not None else {})}
    return actor.entry(run_action(Action.RUN_RETRY, run, was, after), now)


def node_rows(before: Sequence[NodeRow], state: RunState, attempt: int) -> list[NodeRow]:
    """Make the node rows of a new attempt: retained nodes keep all columns, the others are blank. Pure."""
    rows = []
    for row in before:
        node = state.handlers[row.position] if row.position < 0 else state.steps[row.position]
        if node.status.is_final:
            # Its process has exited and its files are removed; its output stays with the attempt that ran it.
            log, no_process = row.log_attempt or row.attempt, {"pid": None, "pid_started": None, "spool": None}
            rows.append(msgspec.structs.replace(row, attempt=attempt, log_attempt=log, **no_process))
            continue
        blank = row_mapping.node_row(row.run_id, attempt, row.position, node, row_mapping.NodeRecord())
        blank |= {"status": node.status, "name": row.name, "handler": row.handler}
        rows.append(NodeRow(**blank, log_attempt=None, edited_at=None, edited_by=None))
    return rows


_ANONYMOUS = "anonymous"
_ACTIVE = frozenset({RunStatus.NOT_STARTED, RunStatus.RUNNING})


class RerunService:
    """Use cases that retry and edit finished runs."""

    def __init__(
        self, database: Database, library: DefinitionCache, run_control: RunControl, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._library = library
        self._run_control = run_control
        self._now = now

    async def retry(self, run: RunRow, step: str | None, actor: Actor) -> None:
        """Retry a run or one of its steps; returns when the new attempt is stored. Raises AppError."""
        key = None
        if step is not None:
            nodes = await self._database.read_inline(lambda connection: runs.get_nodes(connection, run.id, run.attempt))
            key = next((node.position for node in nodes if node.name == step and not node.handler), None)
            if key is None:
                raise unknown_step(run, step)
        if not run.status.is_final:
            status = run.status.label.replace("_", " ")
            raise MaxRunReachedError(f"{_label(run)} is {status}; it can be retried when it has finished")
        try:
            await self._run_control.retry(run.id, RetryOptions(step=key, actor=actor))
        except RunRefusedError as error:
            raise MaxRunReachedError(error.refusal.message) from error
        except DefinitionGoneError as error:
            raise definition_gone(run) from error

    async def set_step_status(self, run: RunRow, step: str, status: NodeStatus, actor: Actor) -> None:
        """Set only the status of a step, which decides what a retry runs; raises AppError.

        Not of an approval, nor of what depends on one that was not given: a retry would pass over it.
        """
        edit = StepEdit(step=step, status=status, actor=actor.label or _ANONYMOUS, at=self._now())

        def find_plan(connection: ReadConnection) -> Plan | None:
            # A run whose definition is gone or unreadable cannot be retried.
            spec, base = runs.get_spec(connection, run.definition_hash) or (None, None)
            loaded = None if spec is None else run_loading.read_definition(self._library, run, spec, base or "")
            return None if loaded is None or loaded.problems else Plan.of(loaded.definition.dag)

        plan = await self._database.read_inline(find_plan)
        await self._database.write(lambda connection: _edit(connection, run, edit, actor, plan))


def definition_gone(run: NamedRun) -> BadRequestError:
    """Make the error for a run whose definition was redacted."""
    return BadRequestError(f"the definition of {_label(run)} was redacted; start its DAG as it is now instead")


def _check_gates(plan: Plan, key: int, steps: Sequence[NodeState], instead: str) -> None:
    """Raise BadRequestError if a step depends on an approval that was not given."""
    if (gate := plan.find_closed_gate(key, steps)) is not None:
        name, gate_name = (shorten(plan.dag.steps[each].name) for each in (key, gate))
        raise BadRequestError(f"step {name} depends on the approval {gate_name}, which was not given; {instead}")


def _check_edit(connection: ReadConnection, plan: Plan, run: int, attempt: int, step: str) -> None:
    key = plan.step_key(step) if plan.gates else None
    if key is None:
        return
    if key in plan.gates:
        raise BadRequestError(
            f"step {shorten(step)} is an approval; its approvers alone decide it, when a retry of the run asks again"
        )
    nodes = sorted(runs.get_nodes(connection, run, attempt), key=lambda node: node.position)
    states = [row_mapping.node_state(node) for node in nodes if node.position >= 0]
    _check_gates(plan, key, states, "it has a status of its own when that is approved")


def _edit(connection: WriteConnection, run: RunRow, edit: StepEdit, actor: Actor, plan: Plan | None) -> None:
    current = status_overrides.lock_run(connection, run.id)
    if current is None:
        raise NotFoundError(f"there is no run {shorten(run.run_id)} of DAG {shorten(run.dag_name)}")
    if current.status in _ACTIVE:
        raise BadRequestError(f"{_label(run)} is running; set the status of a step when it has finished")
    if plan is not None:
        _check_edit(connection, plan, run.id, current.attempt, edit.step)
    before = None if "\0" in edit.step else status_overrides.edit_step(connection, run.id, current.attempt, edit)
    if before is None:
        raise unknown_step(run, edit.step)
    if before != edit.status:
        was, now = ({"step": edit.step, "status": one.label} for one in (before, edit.status))
        audit.add(connection, actor.entry(run_action(Action.RUN_STEP_STATUS, run, was, now), edit.at))


def unknown_step(run: NamedRun, step: str) -> NotFoundError:
    """Make the error for a step that the run does not have."""
    return NotFoundError(f"{_label(run)} has no step {shorten(step)}")


def _label(run: NamedRun) -> str:
    return f"run {shorten(run.run_id)} of DAG {shorten(run.dag_name)}"
