"""Writes of finished runs that another server executed.

A run begins as not started and the triggers allow one step at a time, so finished runs are inserted and then updated
to the statuses that they ended with, many of them at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy import bindparam, insert, select, tuple_

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag, DagRevision
from dagbook.db.models.node import LogChunk, Node
from dagbook.db.models.run import Run, RunAttempt, RunEvent, RunInput
from dagbook.db.prepared import Prepared, update_by
from dagbook.db.repositories import changes, definitions
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.db.repositories.runs import run_writes, search_index
from dagbook.db.repositories.runs.run_rows import (
    ImportedRunRow,
    InputRow,
    NewAttemptRow,
    NewChunk,
    NewEvent,
    NewSummary,
)
from dagbook.db.repositories.runs.runs import NodeRow
from dagbook.db.statements import all_rows
from dagbook.engine.status import NodeStatus, RunStatus

_DIRECT_RUN = (RunStatus.FAILED, RunStatus.ABORTED)
_FIRST = 1
_KEYS_AT_A_TIME = 5_000  # parameters of a statement are limited

_find_keys = select(Run.id).where(Run.id.in_(bindparam("keys", expanding=True)))
_find_revisions = select(Dag.file_name, DagRevision.definition_hash, DagRevision.number).join(
    DagRevision, DagRevision.dag_id == Dag.id
)
_add_runs, _add_attempts, _add_nodes = Prepared(insert(Run)), Prepared(insert(RunAttempt)), Prepared(insert(Node))
_add_inputs, _add_events = Prepared(insert(RunInput)), Prepared(insert(RunEvent))
_add_chunks = Prepared(insert(LogChunk))
_ENDED = ("status", "finished_at")
_set_runs = Prepared(update_by(Run, _ENDED, "id"))
_set_nodes = Prepared(update_by(Node, _ENDED, "run_id", "attempt", "position"))


class ImportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run with the final statuses."""

    run: ImportedRunRow
    definition: DefinitionRow
    inputs: InputRow
    attempts: Sequence[NewAttemptRow]
    nodes: Sequence[NodeRow]
    events: Sequence[NewEvent]
    summaries: Sequence[NewSummary] = ()
    errors: str = ""


class ExistingRun(msgspec.Struct, frozen=True, kw_only=True):
    """A root run that is there already."""

    id: int
    dag_name: str
    run_id: str
    attempt: int
    status: RunStatus
    trigger: str
    finished_at: datetime | None


class _Revision(msgspec.Struct, frozen=True, kw_only=True):
    file_name: str
    definition_hash: str
    number: int


_find_existing = select(*(Run.__table__.c[name] for name in ExistingRun.__struct_fields__)).where(
    tuple_(Run.dag_name, Run.run_id).in_(bindparam("pairs", expanding=True)), Run.root_id.is_(None)
)


def find_existing(connection: ReadConnection, names: Collection[tuple[str, str]]) -> dict[tuple[str, str], ExistingRun]:
    """Return the root runs that there are of these (DAG name, run id) pairs."""
    found = all_rows(connection, ExistingRun, _find_existing, pairs=list(names)) if names else []
    return {(run.dag_name, run.run_id): run for run in found}


def find_keys(connection: ReadConnection, keys: Collection[int]) -> set[int]:
    """Return those of the keys that runs have."""
    wanted, found = sorted(keys), set[int]()
    for first in range(0, len(wanted), _KEYS_AT_A_TIME):
        some = wanted[first : first + _KEYS_AT_A_TIME]
        found.update(connection.execute(_find_keys, {"keys": some}).scalars())
    return found


def find_revisions(connection: ReadConnection) -> dict[tuple[str, str], int]:
    """Return the newest revision of each file name and definition hash."""
    found = all_rows(connection, _Revision, _find_revisions.order_by(DagRevision.number))
    return {(row.file_name, row.definition_hash): row.number for row in found}


def add_finished(connection: WriteConnection, runs: Sequence[ImportedRun]) -> None:
    """Insert finished runs, each after the run that called it."""
    roots = [run.run for run in runs if run.run.root_id is None]
    dag_access.add_unknown(connection, {row.dag_name for row in roots if row.file_name != row.dag_name})
    definitions.add_missing(connection, [run.definition for run in runs])
    _add_runs.execute_many(
        connection, [replace(run.run, status=RunStatus.NOT_STARTED, finished_at=None) for run in runs]
    )
    search_index.add(connection, [run.run for run in runs])
    _add_inputs.execute_many(connection, [run.inputs for run in runs])
    _add_attempts.execute_many(connection, [attempt for run in runs for attempt in run.attempts])
    _add_finished_nodes(connection, [node for run in runs for node in run.nodes])
    _add_events.execute_many(connection, [event for run in runs for event in run.events])
    run_writes.put_summaries(connection, [summary for run in runs for summary in run.summaries])
    running = [run.run for run in runs if run.run.status not in _DIRECT_RUN]
    _set_runs.execute_many(connection, [replace(row, status=RunStatus.RUNNING, finished_at=None) for row in running])
    _set_runs.execute_many(connection, [run.run for run in runs])
    search_index.add_errors(connection, {run.run.id: run.errors for run in runs})
    changes.add_run_changes(connection, [row.id for row in roots])


def _add_finished_nodes(connection: WriteConnection, nodes: Sequence[NodeRow]) -> None:
    """Insert nodes; those of a first attempt begin as not started, and pass through running."""

    def is_first(node: NodeRow) -> bool:
        return node.attempt == _FIRST and node.status is not NodeStatus.NOT_STARTED

    first = [node for node in nodes if is_first(node)]
    blank = [
        replace(node, status=NodeStatus.NOT_STARTED, finished_at=None) if is_first(node) else node for node in nodes
    ]
    _add_nodes.execute_many(connection, blank)
    running = [replace(node, status=NodeStatus.RUNNING, finished_at=None) for node in first]
    _set_nodes.execute_many(connection, running)
    _set_nodes.execute_many(connection, first)


def add_chunks(connection: WriteConnection, chunks: Sequence[NewChunk]) -> None:
    """Add chunks of output of imported runs, in order."""
    _add_chunks.execute_many(connection, chunks)
