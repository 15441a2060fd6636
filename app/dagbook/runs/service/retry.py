"""Use cases of finished runs: retries and manual edits of steps (runtime 21.3 to 21.5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dagbook.auth.audit_context import Action, Actor, NamedRun, run_action
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.batches.turns import ItemKey
from dagbook.db.repositories.runs import runs, status_overrides
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.db.repositories.runs.status_overrides import StepEdit
from dagbook.engine.admission import Admission
from dagbook.engine.plan import Plan
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import BadRequestError, MaxRunReachedError, NotFoundError, UnavailableError
from dagbook.identifiers import shorten
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.model import RetryOptions
from dagbook.runs.starting import require_approvals
from dagbook.runs.store import row_mapping, run_loading
from dagbook.runs.store.new_run import PAUSED
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.store.run_loading import DefinitionGoneError
from dagbook.spec.reading.definition_cache import DefinitionCache

_ANONYMOUS = "anonymous"
_ACTIVE = frozenset({RunStatus.NOT_STARTED, RunStatus.RUNNING})


class RerunService:
    """Use cases that retry and edit finished runs."""

    def __init__(
        self, database: Database, library: DefinitionCache, active_runs: ActiveRuns, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._library = library
        self._active_runs = active_runs
        self._now = now

    async def retry(self, run: RunRow, step: str | None, actor: Actor, item: ItemKey | None = None) -> None:
        """Retry a run or one of its steps, maybe for an item of a batch; returns when the new attempt is stored.

        Raises AppError.
        """
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
            admission = Admission.UNLIMITED if item else Admission.START
            await self._active_runs.retry(run.id, RetryOptions(step=key, actor=actor, admission=admission, item=item))
        except RunRefusedError as error:
            kind = UnavailableError if error.refusal.code == PAUSED else MaxRunReachedError
            raise kind(error.refusal.message) from error
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


def _check_edit(connection: ReadConnection, plan: Plan, run: int, attempt: int, step: str) -> None:
    key = plan.step_key(step) if plan.approvals else None
    if key is None:
        return
    if key in plan.approvals:
        raise BadRequestError(
            f"step {shorten(step)} is an approval; its approvers alone decide it, when a retry of the run asks again"
        )
    nodes = sorted(runs.get_nodes(connection, run, attempt), key=lambda node: node.position)
    states = [row_mapping.node_state(node) for node in nodes if node.position >= 0]
    require_approvals(plan, key, states, "it has a status of its own when that is approved")


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
