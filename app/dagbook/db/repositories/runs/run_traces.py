"""The rows of a trace: an attempt of a run with its sub-runs, what their steps did, and the retries of these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BigInteger, BindParameter, Integer, and_, bindparam, case, or_, select

from dagbook.db.database import ReadConnection
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunAttempt, RunEvent
from dagbook.db.statements import all_rows, columns
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json


class TracedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the tree, in an attempt that has ended; an older attempt has no ``started_at`` of its own."""

    id: int
    parent_id: int | None
    dag_name: str
    run_id: str
    attempt: int
    status: RunStatus
    opened_at: datetime
    started_at: datetime | None
    closed_at: datetime
    error: str | None


class TracedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A step or handler that this attempt has run."""

    run_id: int
    position: int
    name: str
    status: NodeStatus
    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    error: str
    retry_count: int
    sub_runs: dict[str, Json] | None


class TracedRetry(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a node that was retried."""

    run_id: int
    position: int
    at: datetime
    data: dict[str, Json]


class TraceRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a trace, callers before their callees."""

    runs: Sequence[TracedRun]
    nodes: Sequence[TracedNode]
    retries: Sequence[TracedRetry]


_most: BindParameter[int] = bindparam("most")
_is_first = Run.id == bindparam("run", type_=BigInteger)
_number = case((_is_first, bindparam("number", type_=Integer)), else_=Run.attempt)
_in_family = or_(_is_first, Run.root_id == bindparam("root", type_=BigInteger))
_find_runs = (
    select(
        *(Run.id, Run.parent_id, Run.dag_name, Run.run_id, RunAttempt.number.label("attempt"), RunAttempt.status),
        *(RunAttempt.opened_at, RunAttempt.closed_at),
        case((Run.attempt == RunAttempt.number, Run.started_at)).label("started_at"),
        case((Run.attempt == RunAttempt.number, Run.error)).label("error"),
    )
    .join(RunAttempt, and_(RunAttempt.run_id == Run.id, RunAttempt.number == _number))
    .where(_in_family, RunAttempt.closed_at.is_not(None))
    .order_by(Run.id)
    .limit(_most)
)
_find_nodes = (
    select(*columns(Node, TracedNode))
    .join(Run, and_(Run.id == Node.run_id, Node.attempt == _number))
    .where(_in_family, Node.started_at.is_not(None), Node.log_attempt.is_(None))
    .order_by(Node.run_id, Node.position)
    .limit(_most)
)
_find_retries = (
    select(RunEvent.run_id, RunEvent.position, RunEvent.at, RunEvent.data)
    .join(Run, and_(Run.id == RunEvent.run_id, RunEvent.attempt == _number))
    .join(Node, and_(Node.run_id == Run.id, Node.attempt == _number, Node.position == RunEvent.position))
    .where(_in_family, Node.retry_count > 0)
    .order_by(RunEvent.run_id, RunEvent.seq)
    .limit(_most)
)


def find(connection: ReadConnection, run: int, attempt: int, root: int, most: int) -> TraceRows:
    """Read the rows of a trace, at most some of each kind."""
    values = {"run": run, "number": attempt, "root": root, "most": most}
    nodes = all_rows(connection, TracedNode, _find_nodes, **values)
    is_retried = any(node.retry_count for node in nodes)
    return TraceRows(
        runs=all_rows(connection, TracedRun, _find_runs, **values),
        nodes=nodes,
        retries=all_rows(connection, TracedRetry, _find_retries, **values) if is_retried else (),
    )
