"""Retries: the next attempt of a finished run, stored in one commit.

Works by the key of the run and without a request, so that the retry of a calling step can retry its sub-runs as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.db.repositories.runs.run_writes import NewAttempt
from dagbook.db.repositories.runs.runs import CompleteRun, NodeRow
from dagbook.engine.plan import Plan, retry_state
from dagbook.engine.state import RunState
from dagbook.engine.status import RunStatus
from dagbook.runs.options import RetryOptions
from dagbook.runs.runner.runner import Runner
from dagbook.runs.runner.runner_factory import RunnerFactory, retry_on_conflict
from dagbook.runs.store import row_mapping
from dagbook.runs.store.claimed_run import ClaimedRun
from dagbook.runs.store.new_run import as_queued, owned_attempt_row, with_queue_limit
from dagbook.runs.store.run_loading import StoredRun
from dagbook.runs.store.secret_columns import input_row, params_row

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
        files cannot be evaluated; EncryptionError if this server cannot decrypt the secrets.
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
        state = retry_state(Plan.of(owned.definition.dag), before.state, retry.step)
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
            attempt=owned_attempt_row(owned, self._context.identity, now) | row_mapping.attempt_row(state, None),
            inputs=input_row(owned, self._context.encrypter),
            nodes=[msgspec.structs.asdict(row) for row in nodes],
            events=[event],
            audit=_audit_entry(before.run, owned.attempt, step, retry.actor, now),
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
