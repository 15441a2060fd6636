"""Root runs that may be deleted, and the retention settings of DAGs.

A run is deleted with its sub-runs, so an unfinished run, or one with an unfinished sub-run, is never selected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, delete, exists, func, or_, select
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.alert import AlertDelivery
from dagbook.db.models.definition import Dag, DagRetention, Definition
from dagbook.db.models.node import LogChunk, Node
from dagbook.db.models.queue import QueueEntry
from dagbook.db.models.run import Run
from dagbook.db.repositories.accounts.dag_access import NAMES
from dagbook.db.statements import all_rows, first_row, put
from dagbook.db.types import UtcDateTime
from dagbook.engine.status import RunStatus

_FINISHED = (RunStatus.FAILED, RunStatus.ABORTED, RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)
_ACTIVE = (RunStatus.NOT_STARTED, RunStatus.RUNNING, RunStatus.QUEUED)

_called, _newer, _root = aliased(Run), aliased(Run), aliased(Run)
_until = bindparam("until", type_=UtcDateTime)
_most: BindParameter[int] = bindparam("most")
_is_finished = and_(Run.root_id.is_(None), Run.status.in_(_FINISHED))
_mailed = aliased(Run)
# Few: those with a mail or a trace that was not sent yet, which is made of the rows of the run.
_with_mails = (
    select(func.coalesce(_mailed.root_id, _mailed.id))
    .join(AlertDelivery, AlertDelivery.run_id == _mailed.id)
    .where(
        AlertDelivery.channel_id.is_(None),
        AlertDelivery.purpose.in_(("run_mail", "trace")),
        AlertDelivery.status == "pending",
    )
)
MAY_DELETE = and_(
    _is_finished,
    Run.finished_at <= _until,
    ~exists().where(_called.root_id == Run.id, _called.status.in_(_ACTIVE)),
    ~exists().where(QueueEntry.run_id == Run.id),
    Run.id.not_in(_with_mails),
)
_was_edited = exists().where(Node.run_id == Run.id, Node.edited_at > _until)
_is_newest = ~exists().where(
    _newer.dag_name == Run.dag_name, _newer.root_id.is_(None), _newer.created_at > Run.created_at
)
_of_name = Run.dag_name == bindparam("name")
_oldest_first, _newest_first = (Run.created_at, Run.id), (Run.created_at.desc(), Run.id.desc())
_up_to_edge = or_(
    Run.created_at < bindparam("edge_at", type_=UtcDateTime),
    and_(Run.created_at == bindparam("edge_at", type_=UtcDateTime), Run.id <= bindparam("edge_id")),
)
_beyond_edge = or_(
    Run.created_at > bindparam("edge_at", type_=UtcDateTime),
    and_(Run.created_at == bindparam("edge_at", type_=UtcDateTime), Run.id > bindparam("edge_id")),
)
_find_names = select(NAMES.c.name).where(NAMES.c.name.is_not(None))
_find_old = (
    select(Run.id)
    .where(_of_name, MAY_DELETE, Run.created_at <= _until, ~_was_edited)
    .order_by(*_oldest_first)
    .limit(_most)
)
_find_old_but_newest = _find_old.where(~_is_newest)
_find_edge = (
    select(Run.created_at, Run.id)
    .where(_of_name, _is_finished)
    .order_by(*_newest_first)
    .offset(bindparam("keep"))
    .limit(1)
)
_find_up_to_edge = select(Run.id).where(_of_name, MAY_DELETE, _up_to_edge).order_by(*_oldest_first).limit(_most)
_find_stored = (
    select(Dag.dag_name, Dag.file_name, Definition.spec, DagRetention.days, DagRetention.runs, DagRetention.log_bytes)
    .join(Definition, Definition.hash == Dag.definition_hash)
    .outerjoin(DagRetention, DagRetention.dag_id == Dag.id)
    .where(Dag.dag_name.in_(bindparam("names", expanding=True)))
)
_get_last_text = (
    select(Definition.spec, Definition.base)
    .join(Run, Run.definition_hash == Definition.hash)
    .where(_of_name, Run.root_id.is_(None))
    .order_by(*_newest_first)
    .limit(1)
)


class OldestRun(msgspec.Struct, frozen=True, kw_only=True):
    """A deletable run."""

    id: int
    dag_name: str
    created_at: datetime
    log_bytes: int


class StoredLimits(msgspec.Struct, frozen=True, kw_only=True):
    """A stored DAG with its text and its retention settings."""

    dag_name: str
    file_name: str
    spec: str | None
    days: int | None
    runs: int | None
    log_bytes: int | None


class LastText(msgspec.Struct, frozen=True, kw_only=True):
    """Texts of a definition; None when they were redacted."""

    spec: str | None
    base: str | None


class LimitsRow(msgspec.Struct, frozen=True, kw_only=True):
    """Retention settings of a stored DAG."""

    dag_id: int
    days: int | None
    runs: int | None
    log_bytes: int | None
    set_at: datetime
    set_by: str | None


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """Runs neither created nor changed after ``until``; ``newest`` includes the newest run of the DAG."""

    until: datetime
    newest: bool


class Edge(msgspec.Struct, frozen=True):
    """Position of a run in the order of creation."""

    created_at: datetime
    id: int


def _sum_of_logs() -> ColumnElement[int]:
    """Select the log bytes of a root run and its sub-runs."""
    own = select(func.sum(LogChunk.byte_count)).where(LogChunk.run_id == Run.id).correlate(Run)
    below = select(func.sum(LogChunk.byte_count)).join(_root, _root.id == LogChunk.run_id)
    below = below.where(_root.root_id == Run.id).correlate(Run)
    return func.coalesce(own.scalar_subquery(), 0) + func.coalesce(below.scalar_subquery(), 0)


_sized = select(
    Run.id,
    Run.created_at,
    func.row_number().over(order_by=_newest_first).label("number"),
    func.sum(_sum_of_logs()).over(order_by=_newest_first).label("total"),
)
_sized_of_name = _sized.where(_of_name, _is_finished).subquery("sized")
_find_over_bytes = (
    select(Run.id)
    .join(_sized_of_name, _sized_of_name.c.id == Run.id)
    .where(MAY_DELETE, _sized_of_name.c.total > bindparam("bytes"), _sized_of_name.c.number > bindparam("kept"))
    .order_by(*_oldest_first)
    .limit(_most)
)
_find_oldest = (
    select(Run.id, Run.dag_name, Run.created_at, _sum_of_logs().label("log_bytes"))
    .where(MAY_DELETE, _beyond_edge)
    .order_by(*_oldest_first)
    .limit(_most)
)


def find_names(connection: ReadConnection) -> list[str]:
    """Return the DAG names that have runs, in the order of the database's collation."""
    return list(connection.execute(_find_names).scalars())


def find_old(connection: ReadConnection, name: str, age: Age, most: int) -> list[int]:
    """Return the oldest deletable runs of a DAG by age."""
    statement = _find_old if age.newest else _find_old_but_newest
    return list(connection.execute(statement, {"name": name, "until": age.until, "most": most}).scalars())


def find_beyond(connection: ReadConnection, name: str, keep: int, until: datetime, most: int) -> list[int]:
    """Return the oldest deletable runs of a DAG beyond the ``keep`` newest finished ones."""
    edge = connection.execute(_find_edge, {"name": name, "keep": keep}).first()
    if edge is None:
        return []
    values = {"name": name, "edge_at": edge.created_at, "edge_id": edge.id, "until": until, "most": most}
    return list(connection.execute(_find_up_to_edge, values).scalars())


def find_over_bytes(connection: ReadConnection, name: str, limit: int, age: Age, most: int) -> list[int]:
    """Return the oldest deletable runs of a DAG whose logs exceed ``limit`` bytes together with those of newer runs."""
    kept = 0 if age.newest else 1
    values = {"name": name, "bytes": limit, "kept": kept, "until": age.until, "most": most}
    return list(connection.execute(_find_over_bytes, values).scalars())


def count_log_bytes(connection: ReadConnection) -> int:
    """Sum the log bytes of all runs; scans all logs."""
    return int(connection.scalar(select(func.sum(LogChunk.byte_count))) or 0)


def find_oldest(connection: ReadConnection, after: Edge, until: datetime, most: int) -> Sequence[OldestRun]:
    """Return the oldest deletable runs after a position, with their names and log bytes."""
    values = {"edge_at": after.created_at, "edge_id": after.id, "until": until, "most": most}
    return all_rows(connection, OldestRun, _find_oldest, **values)


def find_stored(connection: ReadConnection, names: Collection[str]) -> Sequence[StoredLimits]:
    """Return the stored DAGs with these DAG names, with their texts and retention settings."""
    return all_rows(connection, StoredLimits, _find_stored, names=list(names))


def get_last_text(connection: ReadConnection, name: str) -> LastText | None:
    """Return text and base text of the newest run of a DAG name."""
    return first_row(connection, LastText, _get_last_text, name=name)


def get_limits(connection: ReadConnection, dag: int) -> LimitsRow | None:
    """Return the retention settings of a stored DAG."""
    return first_row(connection, LimitsRow, select(*DagRetention.__table__.columns).where(DagRetention.dag_id == dag))


def put_limits(connection: WriteConnection, row: LimitsRow) -> None:
    """Replace the retention settings of a stored DAG."""
    put(connection, DagRetention, row, "dag_id")


def remove_limits(connection: WriteConnection, dag: int) -> None:
    """Delete the retention settings of a stored DAG."""
    connection.execute(delete(DagRetention).where(DagRetention.dag_id == dag))
