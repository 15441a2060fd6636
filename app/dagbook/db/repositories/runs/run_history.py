"""Queries of several runs, for lists, histories and exports, without a query for each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy.orm import aliased

from dagbook.db.database import ReadConnection
from dagbook.db.models.definition import Dag, Definition
from dagbook.db.models.node import Node
from dagbook.db.models.run import IS_ACTIVE, Run, RunAttempt, RunEvent
from dagbook.db.repositories import approvals
from dagbook.db.repositories.runs.runs import STATE_OF_BAD_END, RunRow, RunWithState, summary
from dagbook.db.statements import all_rows, columns, first_row, is_one_of, milliseconds
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.json_values import Json

QUARTER_SECONDS = 900
_GOOD = (RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)
_SUCCEEDED: ColumnElement[int] = literal_column(str(int(RunStatus.SUCCEEDED)))
_FOR_PAST_TIMES = ("backfill", "recall")  # triggers of runs that tell nothing of how far the others are
_QUARTER = QUARTER_SECONDS * 1000  # milliseconds
_IN_RUN = and_(Run.id == Node.run_id, Run.attempt == Node.attempt)
_find_newest = (
    select(*summary, RunAttempt.state)
    .join(RunAttempt, and_(RunAttempt.run_id == Run.id, RunAttempt.number == Run.attempt))
    .where(Run.dag_name == bindparam("name"), Run.root_id.is_(None))
    .order_by(Run.created_at.desc(), Run.run_id.desc())
    .limit(bindparam("most"))
)


class HistoryNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node in the history of a DAG; times in milliseconds since 1970."""

    run_id: int
    position: int
    name: str
    status: NodeStatus
    retry_count: int
    done_count: int
    error: str
    detail: dict[str, Json] | None
    shown: dict[str, Json] | None
    sub_runs: dict[str, Json] | None
    started_at: int | None
    finished_at: int | None


_find_nodes = {
    dialect: select(
        *(column for column in columns(Node, HistoryNode) if column.name not in ("started_at", "finished_at")),
        milliseconds(dialect, Node.started_at).label("started_at"),
        milliseconds(dialect, Node.finished_at).label("finished_at"),
    )
    .join(Run, _IN_RUN)
    .where(is_one_of(Run.id, "runs"))
    .order_by(Node.run_id, Node.position)
    for dialect in ("sqlite", "postgresql")
}
_duration = {
    "sqlite": (type_coerce(Run.finished_at, BigInteger) - type_coerce(Run.started_at, BigInteger))
    * literal_column("1e-6"),
    "postgresql": cast(func.extract("epoch", Run.finished_at - Run.started_at), Float(53)),
}
_find_names = (
    select(Node.run_id, Node.name)
    .join(Run, _IN_RUN)
    .where(tuple_(Node.run_id, Node.position).in_(bindparam("keys", expanding=True)))
)
_find_summaries = select(*summary).where(is_one_of(Run.id, "runs"))
_find_statuses = (
    select(Node.run_id, Node.name, Node.status)
    .join(Run, _IN_RUN)
    .where(is_one_of(Run.id, "runs"), is_one_of(Node.name, "names"), Node.position >= 0)
)
_find_specs = select(Definition.hash, Definition.spec, Definition.base).where(is_one_of(Definition.hash, "hashes"))


_of_dag = (Run.dag_name == Dag.dag_name, Run.root_id.is_(None))
# Keys grow with time. Sorting by time would make the database scan an index by time, through the runs of other DAGs.
_running = select(func.max(Run.id)).where(*_of_dag, Run.status == RunStatus.RUNNING, IS_ACTIVE).correlate(Dag)
_newest = select(Run.id).where(*_of_dag).order_by(Run.created_at.desc(), Run.run_id.desc()).limit(1).correlate(Dag)
_latest = func.coalesce(_running.scalar_subquery(), _newest.scalar_subquery())
_find_latest = (
    select(*summary, RunAttempt.state)
    .select_from(Dag)
    .join(Run, Run.id == _latest)
    .outerjoin(RunAttempt, STATE_OF_BAD_END)
    .where(is_one_of(Dag.file_name, "files"))
)

_find_last_good = (
    select(*summary)
    .where(
        Run.dag_name == bindparam("name"),
        Run.root_id.is_(None),
        Run.created_at < bindparam("before", type_=Run.created_at.type),
        Run.status.in_([literal_column(str(int(status))) for status in _GOOD]),
    )
    .order_by(Run.created_at.desc())
    .limit(1)
)
_find_last_success = (
    select(*summary, RunEvent.at.label("first_started_at"))
    .outerjoin(RunEvent, and_(RunEvent.run_id == Run.id, RunEvent.seq == 2))  # noqa: PLR2004 - after its acceptance
    .where(
        Run.dag_name == bindparam("name"),
        Run.root_id.is_(None),
        Run.status == _SUCCEEDED,
        Run.trigger.not_in(_FOR_PAST_TIMES),
    )
    .order_by(Run.created_at.desc(), Run.id.desc())
    .limit(1)
)
# The number of the status of the latest run of a stored DAG, for conditions on DAGs.
latest_status = select(type_coerce(Run.status, Integer)).where(Run.id == _latest).correlate(Dag).scalar_subquery()
# Whether that run waits for an approval.
latest_waits = select(Run.id).where(Run.id == _latest, approvals.IS_WAITING).correlate(Dag).exists()

_by_status = select(Run.status, func.count()).where(Run.root_id.is_(None)).group_by(Run.status)
_active = select(Run.status, func.count()).where(IS_ACTIVE).group_by(Run.status)
_oldest_queued = select(func.min(Run.queued_at)).where(IS_ACTIVE, Run.status == RunStatus.QUEUED)
_dags = select(func.count()).select_from(Dag)
_roots = select(Run.id, Run.dag_name, Run.run_id, Run.status).where(Run.root_id.is_(None))


class FinishedRunRow(NamedTuple):
    """A finished root run: start in milliseconds since 1970 and duration in seconds, None if it never started."""

    run_id: str
    status: RunStatus
    started_at: int | None
    seconds: float | None


class CountedRuns(NamedTuple):
    """How many runs of a status were created within ``QUARTER_SECONDS``: the ``quarter``-th of them since 1970."""

    quarter: int
    status: RunStatus
    runs: int


class RecentRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the list of DAGs."""

    id: int
    dag_name: str
    run_id: str
    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


_recent_run = aliased(Run)
_newest_of_each = (
    select(Run.id)
    .where(*_of_dag)
    .order_by(Run.created_at.desc())
    .limit(bindparam("most", type_=Integer))
    .correlate(Dag)
)
_each = _newest_of_each.lateral()
_of_dags = select(*(getattr(_recent_run, name) for name in RecentRun.__struct_fields__)).select_from(Dag)
_joined = {  # SQLite has no LATERAL; this looks each run up by its key
    "sqlite": _of_dags.join(_recent_run, _recent_run.id.in_(_newest_of_each.scalar_subquery())),
    "postgresql": _of_dags.join(_each, true()).join(_recent_run, _recent_run.id == _each.c.id),
}
_find_recent = {
    dialect: statement.where(is_one_of(Dag.dag_name, "names")).order_by(_recent_run.created_at.desc())
    for dialect, statement in _joined.items()
}


class RootRun(msgspec.Struct, frozen=True, kw_only=True):
    """A root run, by key and names."""

    id: int
    dag_name: str
    run_id: str
    status: RunStatus


def find_finished(connection: ReadConnection, dag_name: str, most: int, since: datetime | None) -> list[FinishedRunRow]:
    """Return the newest finished root runs of a DAG name that were created since a time."""
    dialect = connection.dialect.name
    statement = select(
        Run.run_id, Run.status, milliseconds(dialect, Run.started_at), type_coerce(_duration[dialect], Float)
    ).where(Run.dag_name == dag_name, Run.root_id.is_(None), Run.finished_at.is_not(None))
    if since is not None:
        statement = statement.where(Run.created_at >= since)
    found = connection.execute(statement.order_by(Run.created_at.desc(), Run.run_id).limit(most))
    return [FinishedRunRow(*row) for row in found]


def count_by_quarter(connection: ReadConnection, dag_name: str, most: int, since: datetime) -> list[CountedRuns]:
    """Count the newest root runs of a DAG name that were created since a time, by quarters of an hour, newest first.

    At most ``most`` runs are read. The offset of every time zone is a multiple of a quarter, so that the caller can
    add the quarters of a day up.
    """
    created = milliseconds(connection.dialect.name, Run.created_at)
    newest = (
        select((created.op("/")(_QUARTER)).label("quarter"), Run.status)
        .where(Run.dag_name == dag_name, Run.root_id.is_(None), Run.created_at >= since)
        .order_by(Run.created_at.desc())
        .limit(most)
        .subquery()
    )
    counted = select(newest.c.quarter, newest.c.status, func.count()).group_by(newest.c.quarter, newest.c.status)
    return [CountedRuns(*row) for row in connection.execute(counted.order_by(newest.c.quarter.desc()))]


def find_newest(connection: ReadConnection, dag_name: str, most: int) -> Sequence[RunWithState]:
    """Return the newest root runs of a DAG name, with the state of their attempts; ties by run id descending."""
    return all_rows(connection, RunWithState, _find_newest, name=dag_name, most=most)


def find_last_good(connection: ReadConnection, run: RunRow) -> RunRow | None:
    """Return the newest root run of the same name before a run that succeeded, also partially."""
    return first_row(connection, RunRow, _find_last_good, name=run.dag_name, before=run.created_at)


class LastSuccess(RunRow, frozen=True, kw_only=True):
    """A run that succeeded, and when its first attempt left its queue or started, None if that is not known."""

    first_started_at: datetime | None


def find_last_success(connection: ReadConnection, dag_name: str) -> LastSuccess | None:
    """Return the newest root run of a name that succeeded, by its creation; not one for a past time."""
    return first_row(connection, LastSuccess, _find_last_success, name=dag_name)


def find_nodes(connection: ReadConnection, runs: Iterable[int]) -> dict[int, list[HistoryNode]]:
    """Return, by run, the nodes of its last attempt by position; times in milliseconds."""
    found: dict[int, list[HistoryNode]] = {key: [] for key in runs}
    for row in all_rows(connection, HistoryNode, _find_nodes[connection.dialect.name], runs=list(found)):
        found[row.run_id].append(row)
    return found


def find_summaries(connection: ReadConnection, runs: Iterable[int]) -> dict[int, RunRow]:
    """Return runs by their keys."""
    return {row.id: row for row in all_rows(connection, RunRow, _find_summaries, runs=list(runs))}


def find_statuses(
    connection: ReadConnection, runs: Iterable[int], names: Iterable[str]
) -> dict[tuple[int, str], NodeStatus]:
    """Return the statuses of the steps with these names in the last attempts of runs, by run and name."""
    rows = connection.execute(_find_statuses, {"runs": list(runs), "names": list(names)})
    return {(row.run_id, row.name): row.status for row in rows}


def find_specs(connection: ReadConnection, hashes: Iterable[str]) -> dict[str, tuple[str | None, str | None]]:
    """Return, by hash, YAML text and base text of definitions; a text is None when it was redacted."""
    rows = connection.execute(_find_specs, {"hashes": sorted(hashes)})
    return {row.hash: (row.spec, row.base) for row in rows}


def find_latest(connection: ReadConnection, files: Sequence[str]) -> dict[str, RunWithState]:
    """Return, by DAG name, the newest running root run of stored DAGs, or else the newest root run.

    Those that ended badly have their state.
    """
    return {row.dag_name: row for row in all_rows(connection, RunWithState, _find_latest, files=list(files))}


def find_recent(connection: ReadConnection, names: Sequence[str], most: int) -> dict[str, list[RecentRun]]:
    """Return, by DAG name, the newest root runs of stored DAGs, at most ``most`` of each, newest first."""
    recent: dict[str, list[RecentRun]] = {}
    for row in all_rows(connection, RecentRun, _find_recent[connection.dialect.name], names=list(names), most=most):
        recent.setdefault(row.dag_name, []).append(row)
    return recent


def find_node_names(connection: ReadConnection, run: int, attempts: Iterable[int]) -> dict[tuple[int, int], str]:
    """Return, by attempt and position, the names of a run's steps and handlers."""
    statement = select(Node.attempt, Node.position, Node.name).where(
        Node.run_id == run, Node.attempt.in_(set(attempts))
    )
    return {(row.attempt, row.position): row.name for row in connection.execute(statement)}


def find_failing_nodes(connection: ReadConnection, positions: Mapping[int, int | None]) -> dict[int, str]:
    """Return, by run, the name of the node at a position in its last attempt; a run without a position has none."""
    keys = [(run, position) for run, position in positions.items() if position is not None]
    return {row[0]: row[1] for row in connection.execute(_find_names, {"keys": keys})} if keys else {}


def count_runs(connection: ReadConnection) -> dict[RunStatus, int]:
    """Count all root runs by status."""
    return {row[0]: row[1] for row in connection.execute(_by_status)}


def count_active(connection: ReadConnection) -> dict[RunStatus, int]:
    """Count the active and queued root runs by status."""
    return {row[0]: row[1] for row in connection.execute(_active)}


def find_oldest_queued(connection: ReadConnection) -> datetime | None:
    """Return since when the root run that is queued longest has been queued."""
    return connection.execute(_oldest_queued).scalar()


def count_since(connection: ReadConnection, since: datetime) -> dict[RunStatus, int]:
    """Count the root runs that were created since a time, by status."""
    return {row[0]: row[1] for row in connection.execute(_by_status.where(Run.created_at >= since))}


def count_dags(connection: ReadConnection) -> int:
    """Count stored DAGs."""
    return connection.execute(_dags).scalar() or 0


def count_finished(connection: ReadConnection) -> int:
    """Count the finished root runs."""
    statement = select(func.count()).select_from(Run).where(Run.root_id.is_(None), Run.finished_at.is_not(None))
    return connection.execute(statement).scalar() or 0


def find_finished_roots(connection: ReadConnection, after: int, limit: int) -> Sequence[RootRun]:
    """Return the next finished root runs after a key, by key."""
    statement = _roots.where(Run.finished_at.is_not(None), Run.id > after).order_by(Run.id).limit(limit)
    return all_rows(connection, RootRun, statement)


def find_unfinished_roots(connection: ReadConnection) -> Sequence[RootRun]:
    """Return the root runs that have not finished, by key."""
    return all_rows(connection, RootRun, _roots.where(Run.finished_at.is_(None)).order_by(Run.id))


def find_sub_runs(connection: ReadConnection, root: int) -> list[int]:
    """Return the keys of all sub-runs of a root run, callers first."""
    return list(connection.execute(select(Run.id).where(Run.root_id == root).order_by(Run.id)).scalars())
