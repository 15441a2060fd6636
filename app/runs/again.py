"""The next attempt of a run that is over: what it keeps, what it begins anew, and the one commit that opens it.

Works by the run's key and knows no request, so that a retried call of another DAG can do the same to its sub-run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from app.auth.audit_context import Action, Actor, run_action
from app.db.repositories.reading import Row
from app.db.repositories.transitions import NewAttempt
from app.engine.plan import Plan, retry_state
from app.engine.state import NodeState, RunState
from app.engine.status import RunStatus
from app.runs import rows
from app.runs.accept import attempt_as_queued, queue_limit
from app.runs.beginning import RunnerFactory, retry_on_conflict
from app.runs.concealment import input_row, mask_inputs
from app.runs.options import RetryOptions
from app.runs.run import ClaimedRun
from app.runs.runner import Runner
from app.runs.stored import StoredRun
from app.spec import params

_PLACEHOLDER_TOKEN = 1


class RetryService:
    """Opens the next attempts of runs that are over."""

    def __init__(self, factory: RunnerFactory) -> None:
        self._factory = factory
        self._context = factory.context

    async def start_attempt(self, key: int, retry: RetryOptions) -> Runner | None:
        """Store the next attempt of a run with the first thing its driver does, and return the driver.

        None when the attempt waits, because there is no room in its queue. Raises RunRefusedError,
        DefinitionGoneError when the text was redacted, InvalidSpecError when it cannot be read any more,
        BadRequestError when its dotenv files cannot be evaluated, and SealError when its secrets cannot be read here.
        """
        return await retry_on_conflict(lambda: self._start_attempt(key, retry))

    async def _start_attempt(self, key: int, retry: RetryOptions) -> Runner | None:
        new, runner = await self._prepare_attempt(key, retry)
        if new.selector and new.queue:  # a called run that was begun without a worker has no queue to wait in
            new = attempt_as_queued(new)
        waits = await self._factory.recorder.accept_attempt(new)
        return None if waits else runner

    async def _prepare_attempt(self, key: int, retry: RetryOptions) -> tuple[NewAttempt, Runner]:
        before = await self._factory.load(key)
        owned, problem = await self._factory.claimed_run(
            before,
            attempt=retry.attempt or before.run["attempt"] + 1,
            token=_PLACEHOLDER_TOKEN,
            last_seq=before.last_seq + 1,
            directory=retry.directory,
        )
        state = retry_state(Plan.of(owned.definition.dag), before.state, retry.step)
        nodes = node_rows(before.nodes, state, owned.attempt)
        new = self._new_attempt(before, owned, state, nodes, retry)
        runner = self._factory.runner(owned, state, nodes)
        history = await self._factory.history(owned)
        return msgspec.structs.replace(new, first_steps=runner.start([*history, *new.events], problem)), runner

    def _new_attempt(
        self, before: StoredRun, owned: ClaimedRun, state: RunState, nodes: Sequence[rows.Row], retry: RetryOptions
    ) -> NewAttempt:
        now = self._context.now()
        identity, queues = self._context.identity, self._context.queues
        most, selector = before.run["max_active_runs"], owned.definition.dag.worker_selector
        room = queue_limit(queues, owned.queue, owned.dag_name, most) if retry.counted else 0
        step = None if retry.step is None else owned.definition.dag.steps[retry.step].name
        shown = mask_inputs(owned.inputs, owned.masker)
        told = {"params": shown.params, "params_text": params.format_pairs(shown.params)}
        blank = {"started_at": None, "finished_at": None, "error": None, "queued_at": before.run["queued_at"]}
        asked = {"stop_requested_at": None, "stop_requested_by": None}
        return NewAttempt(
            key=owned.key,
            dag_name=owned.dag_name,
            run_id=owned.run_id,
            previous=owned.attempt - 1,
            last_seq=before.last_seq,
            queue=owned.queue,
            max_active_runs=most,
            counted=retry.counted,
            queue_limit=room,
            in_turn=queues.enabled,
            may_wait=queues.enabled,
            selector=selector if queues.sends_to_worker(selector) else None,
            run={"status": int(RunStatus.NOT_STARTED), "attempt": owned.attempt, **told, **blank, **asked},
            attempt={
                "run_id": owned.key,
                "number": owned.attempt,
                "owner": identity.id,
                "token": owned.token,
                "host": identity.host_key,
                "opened_at": now,
                **rows.attempt_row(state, None),
            },
            inputs=input_row(owned, self._context.encrypter),
            nodes=nodes,
            events=[
                rows.retried_event(
                    owned.key, now, seq=owned.last_seq, attempt=owned.attempt, actor=retry.actor_label, step=step
                )
            ],
            audit=_audit_entry(before.run, owned.attempt, step, retry.actor, now),
        )


def _audit_entry(run: Row, attempt: int, step: str | None, actor: Actor | None, now: datetime) -> rows.Row | None:
    if actor is None:
        return None
    was = {"attempt": run["attempt"], "status": RunStatus(run["status"]).label}
    after = {"attempt": attempt, **({"step": step} if step is not None else {})}
    return actor.entry(run_action(Action.RUN_RETRY, run, was, after), now)


def node_rows(before: Sequence[Row], state: RunState, attempt: int) -> list[rows.Row]:
    """Make the nodes that an attempt begins with: kept ones with all they have, the others blank. Pure."""
    return [_node_row(row, _state_of(state, row["position"]), attempt) for row in before]


def _state_of(state: RunState, position: int) -> NodeState:
    return state.handlers[position] if position < 0 else state.steps[position]


def _node_row(before: Row, state: NodeState, attempt: int) -> rows.Row:
    row: rows.Row = dict(before)
    if state.status.is_final:
        # Its process is gone and its files are removed; what it wrote stays with the attempt that ran it.
        log = before["log_attempt"] or before["attempt"]
        return row | {"attempt": attempt, "log_attempt": log, "pid": None, "pid_started": None, "spool": None}
    same = {name: before[name] for name in ("name", "handler")}
    blank = rows.node_row(before["run_id"], attempt, before["position"], state, rows.NodeRecord())
    return dict.fromkeys(row) | same | blank
