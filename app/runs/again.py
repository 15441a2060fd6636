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
from app.runs.accept import queued_again, room_in
from app.runs.beginning import Beginnings, until_unchanged
from app.runs.concealment import input_row, mask_inputs
from app.runs.run import OwnedRun
from app.runs.runner import Runner
from app.runs.stored import StoredRun
from app.spec import params

_TOKEN = 1


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody wants a run to be tried again."""

    step: int | None = None  # the only step to run, by its key; else what failed and what lies below it
    counted: bool = True  # whether the limit of active runs applies
    attempt: int | None = None  # the number that the new attempt has to have; else it is refused
    directory: str = ""  # of a sub-run: where the calling step works
    origin: Actor | None = None  # of the person who wants it; None for what begins by itself

    @property
    def actor(self) -> str | None:
        """Who wants it, as histories name it."""
        return self.origin.label if self.origin is not None else None


class Retries:
    """Opens the next attempts of runs that are over."""

    def __init__(self, beginnings: Beginnings) -> None:
        self._beginnings = beginnings
        self._ground = beginnings.ground

    async def reopen(self, key: int, retry: Retry) -> Runner | None:
        """Store the next attempt of a run with the first thing its driver does, and return the driver.

        None when the attempt waits, because there is no room in its queue. Raises RunRefusedError,
        DefinitionGoneError when the text was redacted, InvalidSpecError when it cannot be read any more,
        BadRequestError when its dotenv files cannot be evaluated, and SealError when its secrets cannot be read here.
        """
        return await until_unchanged(lambda: self._reopen(key, retry))

    async def _reopen(self, key: int, retry: Retry) -> Runner | None:
        new, runner = await self._prepare(key, retry)
        if new.selector and new.queue:  # a called run that was begun without a worker has no queue to wait in
            new = queued_again(new)
        waits = await self._beginnings.recorder.accept_again(new)
        return None if waits else runner

    async def _prepare(self, key: int, retry: Retry) -> tuple[NewAttempt, Runner]:
        before = await self._beginnings.load(key)
        owned, problem = await self._beginnings.own(
            before,
            attempt=retry.attempt or before.run["attempt"] + 1,
            token=_TOKEN,
            last_seq=before.last_seq + 1,
            directory=retry.directory,
        )
        state = retry_state(Plan.of(owned.definition.dag), before.state, retry.step)
        nodes = node_rows(before.nodes, state, owned.attempt)
        new = self._new_attempt(before, owned, state, nodes, retry)
        runner = self._beginnings.runner(owned, state, nodes)
        history = await self._beginnings.history(owned)
        return msgspec.structs.replace(new, first=runner.begin([*history, *new.events], problem)), runner

    def _new_attempt(
        self, before: StoredRun, owned: OwnedRun, state: RunState, nodes: Sequence[rows.Row], retry: Retry
    ) -> NewAttempt:
        now = self._ground.now()
        identity, queues = self._ground.identity, self._ground.queues
        most, selector = before.run["max_active_runs"], owned.definition.dag.worker_selector
        room = room_in(queues, owned.queue, owned.dag_name, most) if retry.counted else 0
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
            room=room,
            in_turn=queues.enabled,
            may_wait=queues.enabled,
            selector=selector if queues.sends_to_worker(selector) else None,
            run={"status": int(RunStatus.NOT_STARTED), "attempt": owned.attempt, **told, **blank, **asked},
            attempt={
                "run_id": owned.key,
                "number": owned.attempt,
                "owner": identity.id,
                "token": owned.token,
                "host": identity.place,
                "opened_at": now,
                **rows.attempt_row(state, None),
            },
            inputs=input_row(owned, self._ground.sealer),
            nodes=nodes,
            events=[
                rows.reopened_event(
                    owned.key, now, seq=owned.last_seq, attempt=owned.attempt, actor=retry.actor, step=step
                )
            ],
            audit=_entry(before.run, owned.attempt, step, retry.origin, now),
        )


def _entry(run: Row, attempt: int, step: str | None, origin: Actor | None, now: datetime) -> rows.Row | None:
    if origin is None:
        return None
    was = {"attempt": run["attempt"], "status": RunStatus(run["status"]).label}
    after = {"attempt": attempt, **({"step": step} if step is not None else {})}
    return origin.entry(run_action(Action.RUN_RETRY, run, was, after), now)


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
    blank = rows.node_row(before["run_id"], attempt, before["position"], state, rows.NodeFacts())
    return dict.fromkeys(row) | same | blank
