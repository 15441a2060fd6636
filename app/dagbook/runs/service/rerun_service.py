"""Use cases of finished runs: retry a run or a step, set the status of a step (runtime 21.3 to 21.5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dagbook.auth.audit_context import Action, Actor, NamedRun, run_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.runs import manual_edits, runs
from dagbook.db.repositories.runs.manual_edits import StepEdit
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import BadRequestError, MaxRunReachedError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.runs.options import RetryOptions
from dagbook.runs.ports import RunControl
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.store.run_loading import DefinitionGoneError

_ANONYMOUS = "anonymous"
_ACTIVE = frozenset({RunStatus.NOT_STARTED, RunStatus.RUNNING})


class RerunService:
    """Use cases that retry and edit finished runs."""

    def __init__(self, database: Database, run_control: RunControl, now: Callable[[], datetime]) -> None:
        self._database = database
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
        """Set only the status of a step, which decides what a retry runs; raises AppError."""
        edit = StepEdit(step=step, status=status, actor=actor.label or _ANONYMOUS, at=self._now())
        await self._database.write(lambda connection: _edit(connection, run, edit, actor))


def definition_gone(run: NamedRun) -> BadRequestError:
    """Make the error for a run whose definition was redacted."""
    return BadRequestError(f"the definition of {_label(run)} was redacted; start its DAG as it is now instead")


def _edit(connection: WriteConnection, run: RunRow, edit: StepEdit, actor: Actor) -> None:
    current = manual_edits.lock_run(connection, run.id)
    if current is None:
        raise NotFoundError(f"there is no run {shorten(run.run_id)} of DAG {shorten(run.dag_name)}")
    if current.status in _ACTIVE:
        raise BadRequestError(f"{_label(run)} is running; set the status of a step when it has finished")
    before = None if "\0" in edit.step else manual_edits.edit_step(connection, run.id, current.attempt, edit)
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
