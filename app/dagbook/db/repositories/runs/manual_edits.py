"""Manual changes of step statuses in runs that are not running."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import func, insert, select, update

from dagbook.db.database import WriteConnection
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunEvent
from dagbook.db.repositories import changes
from dagbook.db.repositories.rows import first_row
from dagbook.engine.status import NodeStatus, RunStatus

_MIN_STEP = timedelta(microseconds=1)


class StepEdit(msgspec.Struct, frozen=True, kw_only=True):
    """A new status of a step, set by a user."""

    step: str
    status: NodeStatus
    actor: str
    at: datetime


class LockedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Status and attempt of a locked run."""

    status: RunStatus
    attempt: int


def lock_run(connection: WriteConnection, run: int) -> LockedRun | None:
    """Lock a run until the end of the transaction, and return its status and attempt."""
    statement = select(Run.status, Run.attempt).where(Run.id == run).with_for_update(key_share=True)
    return first_row(connection, LockedRun, statement)


def edit_step(connection: WriteConnection, run: int, attempt: int, edit: StepEdit) -> NodeStatus | None:
    """Change the status of a step in a locked run, and add an event to the run's history.

    Returns the previous status, None when there is no such step.
    """
    of_step = (Node.run_id == run, Node.attempt == attempt, Node.name == edit.step, Node.handler.is_(False))
    node = connection.execute(select(Node.position, Node.status, Node.edited_at).where(*of_step)).first()
    if node is None:
        return None
    before: NodeStatus = node.status
    if before == edit.status:
        return before
    # Each edit needs a new time, even if the clock was set back: the trigger treats an unchanged time as no edit.
    at = edit.at if node.edited_at is None else max(edit.at, node.edited_at + _MIN_STEP)
    connection.execute(update(Node).where(*of_step).values(status=edit.status, edited_at=at, edited_by=edit.actor))
    data: dict[str, Any] = {"status": edit.status, "edited_by": edit.actor}
    last = connection.execute(select(func.max(RunEvent.seq)).where(RunEvent.run_id == run)).scalar() or 0
    event = {"run_id": run, "seq": last + 1, "attempt": attempt, "at": at, "position": node.position, "data": data}
    connection.execute(insert(RunEvent), [event])
    changes.add_run_changes(connection, [run])
    return before
