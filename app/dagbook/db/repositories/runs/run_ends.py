"""Events of alerts, in the commit in which a root run ends or a step asks for an approval.

Nothing is added without an enabled rule. A success is of interest if something is or may be open about its DAG, or if a
rule reports successes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Integer, Text, bindparam, func, literal_column, or_, select
from sqlalchemy.orm import aliased

from dagbook.db.database import ALERTS, WriteConnection, mark_changed
from dagbook.db.models.alert import Alert, AlertEvent, AlertRule
from dagbook.db.models.run import Run
from dagbook.db.prepared import Prepared
from dagbook.db.repositories.runs.run_rows import NewApproval
from dagbook.db.repositories.runs.run_writes import Fence, Transition
from dagbook.db.statements import insert_into
from dagbook.db.types import OrderedJson, UtcDateTime
from dagbook.engine.status import RunStatus

# The kinds of events, by the status in which a run ends.
KINDS: Mapping[RunStatus, str] = {
    RunStatus.FAILED: "failed",
    RunStatus.ABORTED: "aborted",
    RunStatus.SUCCEEDED: "succeeded",
    RunStatus.PARTIALLY_SUCCEEDED: "partial",
}
_LONGEST = 300  # characters of an error
_COLUMNS = ("key", "at", "kind", "subject_kind", "subject", "run_id", "attempt", "data")
_key, _kind = bindparam("key", type_=Text), bindparam("kind", type_=Text)
_at, _data = bindparam("at", type_=UtcDateTime), bindparam("data", type_=OrderedJson)
_run, _attempt = bindparam("run", type_=BigInteger), bindparam("attempt", type_=Integer)
_dag: ColumnElement[str] = literal_column("'dag'")
# A worker may read these columns alone, so that none of these selects a row.
_one = select(literal_column("1", Integer))
_has_rules = _one.where(AlertRule.enabled).exists()
_is_open = _one.where(Alert.subject_kind == _dag, Alert.subject == Run.dag_name, Alert.closed_at.is_(None)).exists()
_is_unrouted = _one.where(AlertEvent.routed_at.is_(None), AlertEvent.subject == Run.dag_name).exists()
_tells_success = _one.where(AlertRule.enabled, AlertRule.tells_success).exists()
_is_added = literal_column("1", Integer)
_root = aliased(Run)
_add_ends = Prepared(
    insert_into(AlertEvent)
    .from_select(
        _COLUMNS,
        select(_key, _at, _kind, _dag, Run.dag_name, Run.id, _attempt, _data).where(
            Run.id == _run,
            Run.root_id.is_(None),
            _has_rules,
            or_(_kind != literal_column("'succeeded'"), _is_open, _is_unrouted, _tells_success),
        ),
    )
    .on_conflict_do_nothing()
    .returning(_is_added)
)
_add_waits = Prepared(
    insert_into(AlertEvent)
    .from_select(
        _COLUMNS,
        select(_key, _at, _kind, _dag, _root.dag_name, _root.id, _root.attempt, _data)
        .select_from(Run)
        .join(_root, _root.id == func.coalesce(Run.root_id, Run.id))
        .where(Run.id == _run, _has_rules),
    )
    .on_conflict_do_nothing()
    .returning(_is_added)
)


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """That an attempt of a run ends in this commit."""

    fence: Fence
    status: RunStatus
    errors: str
    at: datetime


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    run: int
    attempt: int
    at: datetime
    kind: str
    data: Mapping[str, str]


def find(transitions: Sequence[Transition]) -> list[RunEnd]:
    """Return the ends of runs among transitions."""
    return [
        RunEnd(fence=each.fence, status=each.run.status, errors=each.errors, at=each.run.finished_at)
        for each in transitions
        if each.errors is not None and each.run is not None and each.run.finished_at is not None
    ]


def add(connection: WriteConnection, transitions: Sequence[Transition]) -> None:
    """Add the events of the runs that these transitions end, and of the approvals that they ask for."""
    ends = [_end(each) for each in find(transitions)]
    waits = [_wait(approval) for each in transitions for approval in each.approvals]
    if [*_add_ends.execute_many(connection, ends), *_add_waits.execute_many(connection, waits)]:
        mark_changed(connection, ALERTS)  # few successes make an event


def add_forced(connection: WriteConnection, end: RunEnd) -> None:
    """Add the event of a run that is finished by its rows."""
    if _add_ends.execute_many(connection, [_end(end)]):
        mark_changed(connection, ALERTS)


def _end(end: RunEnd) -> _Row:
    run, attempt, data = end.fence.run, end.fence.attempt, _first_line(end.errors)
    return _Row(key=f"run/{run}/{attempt}", run=run, attempt=attempt, at=end.at, kind=KINDS[end.status], data=data)


def _wait(approval: NewApproval) -> _Row:
    # A step asks once in an attempt, which is the last number.
    run, attempt = approval.run_id, approval.attempt
    key, data = f"wait/{run}/{attempt}/{approval.position}/1", _first_line(str(approval.request.get("prompt", "")))
    return _Row(key=key, run=run, attempt=attempt, at=approval.asked_at, kind="waiting", data=data)


def _first_line(text: str) -> dict[str, str]:
    """Return the first line of a text, shortened; secrets in it are masked already."""
    line = text.strip().partition("\n")[0][:_LONGEST]
    return {"error": line} if line else {}
