"""Approvals: what steps ask, what was decided, and which decisions the owner of a run has not applied yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Executable, and_, bindparam, func, literal, literal_column, select, update
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.node import Approval, Node
from dagbook.db.models.run import Run, RunAttempt
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.statements import all_rows, columns, is_one_of
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json

GROUP = "group:"  # before the name of a group among approvers
_root = aliased(Run)
_is_open = (Approval.decided_at.is_(None), Node.status == NodeStatus.RUNNING, Run.status == RunStatus.RUNNING)
# Without the zero SQLite scans all nodes and looks for an approval of each: there are few approvals, which lead.
_run = Approval.run_id + literal_column("0")
_of_node = and_(Node.run_id == _run, Node.attempt == Approval.attempt, Node.position == Approval.position)
_shown = (
    Approval.run_id.label("run"),
    Node.name.label("step"),
    Approval.asked_at,
    Run.dag_name,
    Run.run_id,
    _root.dag_name.label("root_name"),
    _root.run_id.label("root_run_id"),
)
_open = (
    select(*_shown, Approval.attempt, Approval.position, Approval.request, Run.root_id.label("root"))
    .select_from(Approval)
    .join(Run, and_(Run.id == _run, Run.attempt == Approval.attempt))
    .join(Node, _of_node)
    .outerjoin(_root, _root.id == Run.root_id)
    .where(*_is_open)
)
_decided = (
    select(
        *_shown,
        Approval.decided_at,
        Approval.decided_by,
        Approval.decision,
        Node.approval.label("answer"),
        Node.status,
    )
    .select_from(Approval)
    .join(Run, Run.id == _run)
    .join(Node, _of_node)
    .outerjoin(_root, _root.id == Run.root_id)
    .where(Approval.decided_at.is_not(None))
    .order_by(Approval.decided_at.desc(), Approval.run_id.desc(), Approval.position.desc())
)
# Whether a step of a run waits; as an EXISTS, PostgreSQL would read all approvals.
IS_WAITING = (
    select(literal(1))
    .select_from(Approval)
    .join(Node, _of_node)
    .where(Approval.run_id == Run.id, Approval.attempt == Run.attempt, *_is_open[:2])
    .limit(1)
    .correlate(Run)
    .scalar_subquery()
    .is_not(None)
)
_find_waiting = select(Run.id).where(is_one_of(Run.id, "runs"), IS_WAITING)
_get_open = _open.where(Approval.run_id == bindparam("run"), Node.name == bindparam("step"))


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that the owner of the run has not applied yet."""

    run_id: int
    attempt: int
    position: int
    decided_at: datetime
    decided_by: str
    decision: Mapping[str, Json]


_find_decided = (
    select(*columns(Approval, DecisionRow))
    .join(RunAttempt, and_(RunAttempt.run_id == Approval.run_id, RunAttempt.number == Approval.attempt))
    .join(Node, _of_node)
    .where(
        RunAttempt.owner == bindparam("owner"),
        RunAttempt.closed_at.is_(None),
        Node.status == NodeStatus.RUNNING,
        Approval.decided_at.is_not(None),
    )
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a step asks: a prompt, the names of the values that may and must be given, and who may decide.

    Without ``approvers`` those may decide who may stop the run; else these are names of users, or ``group:NAME``.
    """

    prompt: str = ""
    input: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()

    def allows(self, username: str | None, groups: Collection[str]) -> bool:
        """Whether a user of these groups is among the approvers; anyone is if there are none."""
        found = username in self.approvers or any(f"{GROUP}{name}" in self.approvers for name in groups)
        return found or not self.approvers


class _OfStep(msgspec.Struct, frozen=True, kw_only=True):
    """An approval and the step that asked; the root's names are those of the root of a sub-run, else None."""

    run: int
    step: str
    asked_at: datetime
    dag_name: str
    run_id: str
    root_name: str | None
    root_run_id: str | None


class OpenApproval(_OfStep, frozen=True, kw_only=True):
    """An approval that a running step waits for."""

    attempt: int
    position: int
    request: Asked
    root: int | None


class DecidedApproval(_OfStep, frozen=True, kw_only=True):
    """A decision; ``answer`` is what the node has of it once the run's owner has applied it, with secrets masked."""

    decided_at: datetime
    decided_by: str
    decision: Mapping[str, Json]
    answer: Mapping[str, Json] | None
    status: NodeStatus


def find_decided(connection: ReadConnection, owner: str) -> Sequence[DecisionRow]:
    """Return the decisions about running steps of an owner's runs."""
    return all_rows(connection, DecisionRow, _find_decided, owner=owner)


def get_open(connection: ReadConnection, run: int, step: str) -> OpenApproval | None:
    """Return the approval that a step of a run waits for, None if it waits for none."""
    return next(iter(_open_rows(connection, _get_open, run=run, step=step)), None)


def count_open(connection: ReadConnection, run: int) -> int:
    """Count the approvals that a run waits for."""
    return connection.scalar(select(func.count()).select_from(_open.where(Approval.run_id == run).subquery())) or 0


def find_open(connection: ReadConnection, visibility: Visibility, most: int) -> Sequence[OpenApproval]:
    """Return the visible approvals that are waited for, the oldest first; those of sub-runs by the name of the root."""
    name = func.coalesce(_root.dag_name, Run.dag_name)
    statement = (
        _open.where(*dag_access.narrow(name, visibility)).order_by(Approval.asked_at, Approval.run_id).limit(most)
    )
    return _open_rows(connection, statement)


def find_history(
    connection: ReadConnection, visibility: Visibility, offset: int, most: int
) -> Sequence[DecidedApproval]:
    """Return the visible decisions, the newest first."""
    name = func.coalesce(_root.dag_name, Run.dag_name)
    statement = _decided.where(*dag_access.narrow(name, visibility)).offset(offset).limit(most)
    return all_rows(connection, DecidedApproval, statement)


def find_waiting(connection: ReadConnection, running: Collection[int]) -> set[int]:
    """Return those of the running runs that wait for an approval, by their keys."""
    return set(connection.scalars(_find_waiting, {"runs": list(running)})) if running else set()


def _open_rows(connection: ReadConnection, statement: Executable, **values: object) -> list[OpenApproval]:
    rows = connection.execute(statement, values).mappings()
    return [OpenApproval(**{**row, "request": msgspec.convert(row["request"], Asked)}) for row in rows]


def decide(
    connection: WriteConnection, waiting: OpenApproval, decision: Mapping[str, Json], by: str, at: datetime
) -> bool:
    """Store a decision; False when another one was first."""
    done = connection.execute(
        update(Approval)
        .where(
            Approval.run_id == waiting.run,
            Approval.attempt == waiting.attempt,
            Approval.position == waiting.position,
            Approval.decided_at.is_(None),
        )
        .values(decided_at=at, decided_by=by, decision=decision)
    )
    return done.rowcount == 1
