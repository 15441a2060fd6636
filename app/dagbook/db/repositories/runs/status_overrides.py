"""Statuses that are set without the engine: a run finished by its rows alone, steps edited by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import Text, func, select, type_coerce, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunAttempt, RunInput, RunRequest
from dagbook.db.repositories import changes
from dagbook.db.repositories.runs import search_index
from dagbook.db.repositories.runs.run_rows import NewEvent
from dagbook.db.repositories.runs.run_writes import Fence, add_events
from dagbook.db.repositories.runs.runs import last_seq
from dagbook.db.statements import first_row
from dagbook.engine.status import NodeStatus, RunStatus

_MIN_STEP = timedelta(microseconds=1)


class ForcedEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a run and its running nodes end; an empty error leaves that of the run as it is."""

    status: RunStatus
    node_status: NodeStatus
    at: datetime
    error: str


class OpenRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to finish a run: its running nodes, the attempt's state as text, and all stored times.

    ``variables`` are the text of those of its inputs.
    """

    running: Sequence[int]
    state: str | None
    variables: str | None
    is_root: bool
    times: Sequence[datetime]


def read_open(connection: ReadConnection, fence: Fence) -> OpenRun:
    """Read from an attempt what is needed to finish it."""
    nodes = connection.execute(
        select(Node.position, Node.status, Node.started_at, Node.executed_at, Node.retried_at, Node.finished_at)
        .where(Node.run_id == fence.run, Node.attempt == fence.attempt)
        .order_by(Node.position)
    ).all()
    run = connection.execute(
        select(Run.started_at, Run.root_id, type_coerce(RunInput.variables, Text).label("variables"))
        .outerjoin(RunInput, RunInput.run_id == Run.id)
        .where(Run.id == fence.run)
    ).one()
    times = [run.started_at, *(time for node in nodes for time in node[2:])]
    state = select(type_coerce(RunAttempt.state, Text)).where(
        RunAttempt.run_id == fence.run, RunAttempt.number == fence.attempt
    )
    return OpenRun(
        running=[node.position for node in nodes if node.status == NodeStatus.RUNNING],
        state=connection.execute(state).scalar_one(),
        variables=run.variables,
        is_root=run.root_id is None,
        times=[time for time in times if time is not None],
    )


def find_spools(connection: ReadConnection, fence: Fence) -> list[str]:
    """Return the spool directories of an attempt's running nodes."""
    spools = select(Node.spool).where(
        Node.run_id == fence.run,
        Node.attempt == fence.attempt,
        Node.status == NodeStatus.RUNNING,
        Node.spool.is_not(None),
    )
    return [spool for spool in connection.execute(spools.order_by(Node.position)).scalars() if spool]


def clear_spools(connection: WriteConnection, run: int, attempt: int, *, kept: Path | None = None) -> None:
    """Clear the spool paths of running nodes, which are in another server's spool, except paths below ``kept``."""
    elsewhere = update(Node).where(
        Node.run_id == run, Node.attempt == attempt, Node.status == NodeStatus.RUNNING, Node.spool.is_not(None)
    )
    if kept is not None:
        prefix = f"{kept}/"
        elsewhere = elsewhere.where(func.substr(Node.spool, 1, len(prefix)) != prefix)
    connection.execute(elsewhere.values(spool=None))


def finish(
    connection: WriteConnection,
    fence: Fence,
    end: ForcedEnd,
    state: Mapping[str, object],
    events: Sequence[NewEvent],
) -> None:
    """Finish the running nodes, the run and its attempt, and mark its stop requests as handled."""
    connection.execute(
        update(Node)
        .where(Node.run_id == fence.run, Node.attempt == fence.attempt, Node.status == NodeStatus.RUNNING)
        .values(status=end.node_status, finished_at=end.at, error=end.error, due_at=None, detail=None)
    )
    add_events(connection, events)
    error = {"error": end.error} if end.error else {}
    connection.execute(update(Run).where(Run.id == fence.run).values(status=end.status, finished_at=end.at, **error))
    connection.execute(
        update(RunAttempt)
        .where(RunAttempt.run_id == fence.run, RunAttempt.number == fence.attempt)
        .values(status=end.status, state=state, closed_at=end.at)
    )
    connection.execute(
        update(RunRequest)
        .where(RunRequest.run_id == fence.run, RunRequest.handled_at.is_(None))
        .values(handled_at=end.at)
    )
    search_index.index_errors(connection, fence.run, fence.attempt)
    changes.add_run_changes(connection, [fence.run])


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
    event = NewEvent(
        run_id=run,
        seq=last_seq(connection, run) + 1,
        attempt=attempt,
        at=at,
        position=node.position,
        data={"status": edit.status, "edited_by": edit.actor},
    )
    add_events(connection, [event])
    changes.add_run_changes(connection, [run])
    return before
