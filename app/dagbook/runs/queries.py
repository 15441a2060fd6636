"""Reads of runs that several entry points share, and cached counts by status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import services
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import BOTH, StreamKey
from dagbook.db.repositories.runs import run_history, runs
from dagbook.db.repositories.runs.runs import AttemptRow, NamedSubRunRow, NodeRow, RunRow
from dagbook.db.repositories.services import ExpiredLease
from dagbook.engine.plan import find_step
from dagbook.engine.status import RunStatus
from dagbook.errors import NotFoundError
from dagbook.identifiers import LAST_SUCCESS, LATEST, shorten
from dagbook.runs.output.output_follower import STDERR, STDOUT
from dagbook.runs.service.retry import unknown_step
from dagbook.runs.store.run_loading import read_definition
from dagbook.spec.model import Dag, Pair
from dagbook.spec.reading.definition_cache import DefinitionCache

_STREAMS = {"stdout": STDOUT, "stderr": STDERR, None: BOTH}
_MIN_AGE_SECONDS = 1.0
_REST = 100  # counting takes at most 1 % of the time


class RunSnapshot(NamedTuple):
    """A run with its definition, newest attempt, nodes and params, and the lease of its owner if it has expired.

    The attempt is None when the response needs nothing of it.
    """

    run: RunRow
    dag: Dag
    attempt: AttemptRow | None
    nodes: Sequence[NodeRow]
    params: Sequence[Pair]
    expired_lease: ExpiredLease | None


def read_newest(library: DefinitionCache, connection: ReadConnection, run: RunRow, now: datetime) -> RunSnapshot:
    """Read the snapshot of a run; with an expired lease the orphan sweep of another server will adopt or fail it."""
    # The response needs the attempt for the run's owner, for the results of its DAG's preconditions, or for its error.
    dag = dag_of(connection, library, run)
    needs_attempt = run.finished_at is None or bool(dag.preconditions or run.error)
    attempt = runs.get_attempt(connection, run.id, run.attempt) if needs_attempt else None
    nodes = runs.get_nodes(connection, run.id, run.attempt)
    params = runs.get_params(connection, run.id) if run.params_text else []
    owner = attempt.owner if attempt and run.status == RunStatus.RUNNING else None
    expired_lease = services.expired_since(connection, owner, now) if owner else None
    return RunSnapshot(run, dag, attempt, nodes, params, expired_lease)


def find_run(connection: ReadConnection, name: str, run_id: str) -> RunRow:
    """Return the summary of a run; ``latest`` is the newest one, ``last-success`` that from which the next one begins.

    Raises NotFoundError naming DAG and run.
    """
    run: RunRow | None = None
    if "\0" not in name and run_id == LATEST:
        run = runs.get_latest(connection, name)
    elif "\0" not in name and run_id == LAST_SUCCESS:
        run = run_history.find_last_success(connection, name)
    return require_run(connection, name, run_id) if run is None else run


def require_run(connection: ReadConnection, name: str, run_id: str) -> RunRow:
    """Return the summary of a run by its exact id, for changes; raises NotFoundError naming DAG and run."""
    run = None if "\0" in name + run_id else runs.get(connection, name, run_id)
    if run is None:
        raise NotFoundError(f"there is no run {shorten(run_id)} of DAG {shorten(name)}")
    return run


class RunRef(msgspec.Struct, frozen=True):
    """A run as a path names it: DAG name and id of a root run, and for a sub-run below it its own id."""

    name: str
    root: str
    sub_run: str | None = None

    def find(self, connection: ReadConnection) -> RunRow:
        """Return the run; the root ``latest`` is the newest one. Raises NotFoundError."""
        root = find_run(connection, self.name, self.root)
        return root if self.sub_run is None else find_below(connection, root, self.sub_run)

    def require(self, connection: ReadConnection) -> RunRow:
        """Return the run by its exact id, for changes; raises NotFoundError."""
        root = require_run(connection, self.name, self.root)
        return root if self.sub_run is None else find_below(connection, root, self.sub_run)

    async def read(self, database: Database) -> RunRow:
        """Find the run in a read of its own."""
        return await database.read_inline(self.find)


def dag_of(connection: ReadConnection, library: DefinitionCache, run: RunRow) -> Dag:
    """Return the definition of a run."""
    return dags_of(connection, library, [run])[run.dag_name, run.definition_hash]


def dags_of(
    connection: ReadConnection, library: DefinitionCache, found: Sequence[RunRow]
) -> dict[tuple[str, str], Dag]:
    """Return the definitions of runs by DAG name and hash of the text; those not cached are read in one query."""
    by_text = {(run.dag_name, run.definition_hash): run for run in found}
    known = {text: dag for text, run in by_text.items() if (dag := _cached_dag(library, run))}
    if missing := by_text.keys() - known:
        specs = run_history.find_specs(connection, {content_hash for _, content_hash in missing})
        for text in missing:
            spec, base = specs.get(text[1], ("", ""))
            known[text] = read_definition(library, by_text[text], spec or "", base or "").definition.dag
    return known


def _cached_dag(library: DefinitionCache, run: RunRow) -> Dag | None:
    """Return the definition of a root run, if it is cached."""
    if run.root_id is not None:
        return None
    loaded = library.get_cached(run.definition_hash, run.dag_name)
    return None if loaded is None else loaded.definition.dag


def find_step_log(
    connection: ReadConnection, library: DefinitionCache, run: RunRow, step: str, stream: str | None
) -> StreamKey:
    """Return the key of a step's or handler's output, on both streams if none is named; raises NotFoundError.

    A step with ``logOutput: merged`` has one log for both streams (DAG format 1.30, 5).
    """
    node = None if "\0" in step else logs.find_node(connection, run.id, run.attempt, step)
    if node is None:
        raise unknown_step(run, step)
    if node.started_at is None:
        raise NotFoundError(f"step {shorten(step)} has not run, so it has no log")
    chosen = _STREAMS[stream]
    if chosen != BOTH:
        dag = dag_of(connection, library, run)
        chosen = BOTH if dag.merges_logs(find_step(dag, node.position)) else chosen
    return StreamKey(run.id, node.attempt, node.position, chosen)


def find_below(connection: ReadConnection, root: RunRow, run_id: str) -> NamedSubRunRow:
    """Return the summary of a run below a root; raises NotFoundError."""
    run = None if "\0" in run_id else runs.get_below(connection, root.id, run_id)
    if run is None:
        raise NotFoundError(
            f"run {shorten(root.run_id)} of DAG {shorten(root.dag_name)} has no sub-run {shorten(run_id)}"
        )
    return run


class RunTotals:
    """Counts of runs by status, cached for a time that grows with the cost of counting: there may be millions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._counted: dict[RunStatus, int] = {}
        self._fresh_until = 0.0

    async def read(self) -> dict[RunStatus, int]:
        """Return the counts by status, possibly from the cache."""
        async with self._lock:
            started = time.monotonic()
            if started >= self._fresh_until:
                self._counted = await self._database.read(run_history.count_runs)
                finished = time.monotonic()
                self._fresh_until = finished + max(_MIN_AGE_SECONDS, (finished - started) * _REST)
            return self._counted
