"""The next attempt of a run that is over: what it keeps, what it begins anew, and the one commit that opens it.

Works by the run's key and knows no request, so that a retried call of another DAG can do the same to its sub-run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from app.auth.origin import Action, Origin, run_deed
from app.db.database import Database
from app.db.repositories import runs
from app.db.repositories.reading import Row
from app.db.repositories.transitions import NewAttempt
from app.engine.plan import Plan, retried
from app.engine.state import NodeState, RunState
from app.engine.status import RunStatus
from app.errors import InvalidSpecError
from app.runs import rows, stored
from app.runs.concealment import input_row, mask_inputs, read_facts
from app.runs.files import RunFiles
from app.runs.ground import Ground
from app.runs.guard import CHANGED
from app.runs.inputs import Place, evaluate_again
from app.runs.log import is_read_by
from app.runs.recorder import Recorder, RunRefusedError
from app.runs.run import OwnedRun
from app.runs.runner import Runner
from app.runs.secrets import unlock
from app.runs.stored import StoredRun
from app.spec import params
from app.spec.library import Library
from app.spec.model import Dag

_MOST_TRIES = 5
_TOKEN = 1


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody wants a run to be tried again."""

    step: int | None = None  # the only step to run, by its key; else what failed and what lies below it
    counted: bool = True  # whether the limit of active runs applies
    attempt: int | None = None  # the number that the new attempt has to have; else it is refused
    origin: Origin | None = None  # of the person who wants it; None for what begins by itself

    @property
    def actor(self) -> str | None:
        """Who wants it, as histories name it."""
        return self.origin.label if self.origin is not None else None


class MakeRunner(Protocol):
    """Makes the driver of a run that is about to be stored."""

    def __call__(self, run: OwnedRun, dag: Dag, state: RunState, facts: dict[int, rows.NodeFacts]) -> Runner:
        """Make it."""


class Retries:
    """Opens the next attempts of runs that are over."""

    def __init__(
        self, database: Database, recorder: Recorder, library: Library, ground: Ground, make_runner: MakeRunner
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._library = library
        self._ground = ground
        self._make_runner = make_runner

    async def reopen(self, key: int, retry: Retry) -> Runner:
        """Store the next attempt of a run with the first thing its driver does, and return the driver.

        Raises RunRefusedError, DefinitionGoneError when the text was redacted, InvalidSpecError when it cannot be
        read any more, BadRequestError when its dotenv files cannot be evaluated, and SealError when its secrets
        cannot be read here.
        """
        tries = 1
        while True:
            new, runner = await self._prepare(key, retry)
            try:
                await self._recorder.accept_again(new)
            except RunRefusedError as error:
                # Somebody set the status of a step by hand after we had read it; that has to count.
                if error.refusal.code != CHANGED or tries == _MOST_TRIES:
                    raise
                tries += 1
            else:
                return runner

    async def _prepare(self, key: int, retry: Retry) -> tuple[NewAttempt, Runner]:
        before = await self._database.read(
            lambda connection: stored.load(connection, self._library, self._ground.sealer, key)
        )
        if before.loaded.problems:
            raise InvalidSpecError(before.loaded.problems)
        owned, problem = await unlock(
            await self._own(before, retry.attempt or before.run["attempt"] + 1), self._ground.machine
        )
        state = retried(Plan.of(owned.definition.dag), before.state, retry.step)
        nodes = node_rows(before.nodes, state, owned.attempt)
        new = self._new_attempt(before, owned, state, nodes, retry)
        facts = {row["position"]: read_facts(row, self._ground.sealer) for row in nodes}
        runner = self._make_runner(owned, owned.definition.dag, state, facts)
        history = await self._history(owned)
        return msgspec.structs.replace(new, first=runner.begin([*history, *new.events], problem)), runner

    async def _history(self, run: OwnedRun) -> Sequence[Row]:
        """Give what happened so far to a run whose steps read its log; their file of it went with the attempt."""
        if not is_read_by(run.definition.dag):
            return ()
        return await self._database.read(lambda connection: runs.get_events(connection, run.key))

    async def _own(self, before: StoredRun, number: int) -> OwnedRun:
        run, definition = before.run, before.loaded.definition
        place = self._place(before, number)
        return OwnedRun(
            key=run["id"],
            dag_name=run["dag_name"],
            run_id=run["run_id"],
            attempt=number,
            token=_TOKEN,
            definition=definition,
            inputs=await evaluate_again(definition.dag, before.inputs, place),
            last_seq=before.last_seq + 1,
            queue=run["queue"],
            parentage=before.parentage,
        )

    def _place(self, before: StoredRun, number: int) -> Place:
        ground = self._ground
        return Place(
            source_directory=before.inputs.source_directory,
            own_directory=RunFiles(ground.spool, before.run["id"], number).work,
            work_dir=ground.work_dir,
            machine=ground.machine.seen_from(before.inputs.base_environment),
            limit_seconds=ground.evaluation_limit_seconds,
        )

    def _new_attempt(
        self, before: StoredRun, owned: OwnedRun, state: RunState, nodes: Sequence[rows.Row], retry: Retry
    ) -> NewAttempt:
        now = self._ground.now()
        identity = self._ground.identity
        step = None if retry.step is None else owned.definition.dag.steps[retry.step].name
        shown = mask_inputs(owned.inputs, owned.masker)
        told = {"params": shown.params, "params_text": params.show(shown.params)}
        blank = {"started_at": None, "finished_at": None, "error": None}
        asked = {"stop_requested_at": None, "stop_requested_by": None}
        return NewAttempt(
            key=owned.key,
            dag_name=owned.dag_name,
            run_id=owned.run_id,
            previous=owned.attempt - 1,
            last_seq=before.last_seq,
            queue=owned.queue,
            max_active_runs=before.run["max_active_runs"],
            counted=retry.counted,
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


def _entry(run: Row, attempt: int, step: str | None, origin: Origin | None, now: datetime) -> rows.Row | None:
    if origin is None:
        return None
    was = {"attempt": run["attempt"], "status": RunStatus(run["status"]).label}
    after = {"attempt": attempt, **({"step": step} if step is not None else {})}
    return origin.entry(run_deed(Action.RUN_RETRY, run, was, after), now)


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
