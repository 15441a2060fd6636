"""The hot path: accepting runs and storing what happened to them, many runs in one transaction.

Core statements with ``executemany`` only (house design section 6, writing). The caller gives whole rows;
fences are locked first and in one order, so that two servers cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Definition
from dagbook.db.models.log import LogChunk
from dagbook.db.models.node import Node
from dagbook.db.models.queue import QueueEntry
from dagbook.db.models.retention import Removal
from dagbook.db.models.run import IS_ACTIVE, Run, RunAttempt, RunEvent, RunInput, RunRequest
from dagbook.db.prepared import Prepared
from dagbook.db.repositories.runs import run_search_index
from dagbook.db.repositories.schedules import Slot

Row = dict[str, Any]


class Fence(msgspec.Struct, frozen=True):
    """The right to write to an attempt: its number and the token under which it is owned."""

    run: int
    attempt: int
    token: int


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one run since its last commit; every part may be empty."""

    fence: Fence
    nodes: Sequence[Row] = ()
    events: Sequence[Row] = ()
    chunks: Sequence[Row] = ()
    run: Row | None = None
    attempt: Row | None = None
    requests: Sequence[int] = ()  # that were handled, by their numbers: others may have been asked since
    requests_handled_at: Any = None
    errors: str | None = None  # of an attempt that is over: what went wrong in it, empty for nothing


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is accepted: complete rows, and what a guard has to know."""

    key: int
    dag_name: str
    run_id: str
    singleton: bool
    max_active_runs: int
    definition: Row
    run: Row
    attempt: Row
    inputs: Row
    nodes: Sequence[Row]
    events: Sequence[Row]
    queue: str = ""
    queue_limit: int = 0  # so many runs may be under way in its queue, whatever their DAGs; 0: any number
    in_turn: bool = False  # whether there is no room either while others wait in its queue, or that is paused
    may_wait: bool = False  # whether it is queued where there is no room, instead of refused
    priority: int = 0
    selector: Any = None
    entry: Row | None = None  # its place in the queue, if it is to wait there
    limited: bool = True  # whether the limit of active runs applies to waiting, too
    patient: bool = (
        False  # whether it waits where the limit of active runs is reached, if that does not apply to waiting
    )
    slot: Slot | None = None  # the time of a schedule that it is started for, which is settled in the same commit
    is_child: bool = False  # called by another run: limits of its DAG do not count
    audit: Row | None = None  # the entry about who wanted it, if somebody did
    first_steps: Transition | None = None  # what its driver did with it at once, stored in the same commit


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A queued run whose turn has come: whose it becomes, and what its driver did with it at once.

    ``last_seq`` is the last event that the driver knew of, ``fence`` the one that the run is to have, ``inputs`` what
    was evaluated anew, of which ``run`` shows a part.
    """

    fence: Fence
    last_seq: int
    queue: str
    owner: str
    host: str
    run: Row
    inputs: Row
    first_steps: Transition | None
    by_worker: bool = False  # whether it was offered to workers, several of which take up what may go at one time


class NewAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """The next attempt of a run that is over: complete rows, and what a guard has to know.

    ``previous`` and ``last_seq`` say what the rows were made from: the run's attempt and its last event.
    """

    key: int
    dag_name: str
    run_id: str
    previous: int
    last_seq: int
    queue: str
    max_active_runs: int
    counted: bool  # whether the limit of active runs applies
    queue_limit: int = 0  # these are as of a new run
    in_turn: bool = False
    may_wait: bool = False
    priority: int = 0
    selector: Any = None
    entry: Row | None = None
    run: Row
    attempt: Row
    inputs: Row
    nodes: Sequence[Row]
    events: Sequence[Row]
    audit: Row | None = None  # as of a new run
    first_steps: Transition | None = None  # as of a new run


class FinishedRun(msgspec.Struct, frozen=True):
    """Where a run stands that is over."""

    attempt: int
    last_seq: int


class Activity(msgspec.Struct, frozen=True):
    """How many runs of a DAG are live in a queue and how many wait there, and how many of all DAGs are live there.

    ``held`` says that others wait in the queue, whatever their DAGs, or that it is paused.
    """

    dag_active: int = 0
    dag_queued: int = 0
    queue_active: int = 0
    queue_blocked: bool = False


_NODE_KEYS = ("run_id", "attempt", "position")
_RUN_COLUMNS = ("status", "started_at", "finished_at", "error")
_ATTEMPT_COLUMNS = ("status", "state", "closed_at")
_NODE_COLUMNS = (
    "status",
    "execution",
    "started_at",
    "finished_at",
    "executed_at",
    "due_at",
    "retried_at",
    "retry_count",
    "done_count",
    "repeated",
    "exit_code",
    "error",
    "output_name",
    "output_value",
    "pid",
    "pid_started",
    "spool",
    "detail",
    "shown",
    "sub_runs",
    "output_sealed",
)

_RUNNING, _QUEUED, _NOT_STARTED = 1, 5, 0
_FINISHED = (2, 3, 4, 6)
_RETRIED_RUN = (
    "status",
    "attempt",
    "params",
    "params_text",
    "queued_at",
    "started_at",
    "finished_at",
    "stop_requested_at",
    "stop_requested_by",
    "error",
)
_RETRIED_INPUTS = ("params", "env", "dotenv", "work_dir", "keep_dir", "source_directory", "base_environment", "sealed")

# Statements are made once: building one anew costs several times its execution.
_find_used = select(Run.dag_name, Run.run_id).where(
    tuple_(Run.dag_name, Run.run_id).in_(bindparam("pairs", expanding=True)), Run.root_id.is_(None)
)
_lock_names = select(func.pg_advisory_xact_lock(func.hashtext(bindparam("name"))))
# Active runs are few, and runs of a name may be very many: the index of the former is the one to go by, but SQLite
# takes that of names unless the name is hidden from it, and that of active runs only if it sees the statuses.
_count_active = (
    select(Run.dag_name, Run.queue, Run.status, func.count())
    .where(Run.dag_name.in_(bindparam("names", expanding=True)), IS_ACTIVE)
    .group_by(Run.dag_name, Run.queue, Run.status)
)
_lock_fences = (
    select(RunAttempt.run_id, RunAttempt.number, RunAttempt.token)
    .where(
        RunAttempt.run_id.in_(bindparam("runs", expanding=True)),
        RunAttempt.owner == bindparam("me"),
        RunAttempt.closed_at.is_(None),
    )
    .order_by(RunAttempt.run_id)
    .with_for_update()
)
# Others may refer to the row meanwhile, so its key is not locked. Of a run that is being removed some is gone.
_lock_finished = (
    select(Run.id, Run.attempt)
    .where(
        Run.id.in_(bindparam("runs", expanding=True)),
        Run.status.in_(_FINISHED),
        Run.id.not_in(select(Removal.run_id)),
    )
    .order_by(Run.id)
    .with_for_update(key_share=True)
)
_lock_queued = (
    select(Run.id)
    .where(Run.id.in_(bindparam("runs", expanding=True)), Run.status == _QUEUED)
    .order_by(Run.id)
    .with_for_update(key_share=True)
)
_add_definitions = Prepared(
    {
        "sqlite": sqlite.insert(Definition).on_conflict_do_nothing(),
        "postgresql": postgresql.insert(Definition).on_conflict_do_nothing(),
    }
)
_add_runs, _add_attempts, _add_nodes = Prepared(insert(Run)), Prepared(insert(RunAttempt)), Prepared(insert(Node))
_add_inputs, _add_events = Prepared(insert(RunInput)), Prepared(insert(RunEvent))
_add_chunks = Prepared(insert(LogChunk))
_add_entries = Prepared(insert(QueueEntry))
_update_nodes = Prepared(
    update(Node)
    .where(
        Node.run_id == bindparam("b_run_id"),
        Node.attempt == bindparam("b_attempt"),
        Node.position == bindparam("b_position"),
    )
    .values({name: bindparam(name) for name in _NODE_COLUMNS})
)
_update_runs = Prepared(
    update(Run).where(Run.id == bindparam("b_id")).values({name: bindparam(name) for name in _RUN_COLUMNS})
)
_update_attempts = Prepared(
    update(RunAttempt)
    .where(RunAttempt.run_id == bindparam("b_run_id"), RunAttempt.number == bindparam("b_number"))
    .values({name: bindparam(name) for name in _ATTEMPT_COLUMNS})
)
_add_run_changes = Prepared(
    update(Run).where(Run.id == bindparam("b_id")).values({name: bindparam(name) for name in ("params", "params_text")})
)
_own_attempts = Prepared(
    update(RunAttempt)
    .where(RunAttempt.run_id == bindparam("b_run_id"), RunAttempt.number == bindparam("b_number"))
    .values({name: bindparam(name) for name in ("owner", "token", "host")})
)
_reopen_runs = Prepared(
    update(Run).where(Run.id == bindparam("b_id")).values({name: bindparam(name) for name in _RETRIED_RUN})
)
_reopen_inputs = Prepared(
    update(RunInput)
    .where(RunInput.run_id == bindparam("b_run_id"))
    .values({name: bindparam(name) for name in _RETRIED_INPUTS})
)
_handle_requests = Prepared(
    update(RunRequest)
    .where(RunRequest.id == bindparam("b_id"), RunRequest.handled_at.is_(None))
    .values(handled_at=bindparam("b_handled_at"))
)
_drop_requests = Prepared(
    update(RunRequest)
    .where(RunRequest.run_id == bindparam("b_run_id"), RunRequest.handled_at.is_(None))
    .values(handled_at=bindparam("b_handled_at"))
)


def lock_names(connection: WriteConnection, names: Iterable[str]) -> None:
    """Let only one transaction at a time decide about new runs of these names; SQLite has one writer anyway.

    Two servers would each count the live runs without the other's new one, and both start theirs.
    """
    turns = [{"name": name} for name in sorted(names)]
    if turns and connection.dialect.name == "postgresql":
        connection.execute(_lock_names, turns)


def find_used(connection: ReadConnection, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Tell which of the (DAG name, run id) pairs root runs already have."""
    return {(row[0], row[1]) for row in connection.execute(_find_used, {"pairs": list(set(keys))})}


def count_active(connection: ReadConnection, dag_names: Iterable[str]) -> dict[tuple[str, str], Activity]:
    """Count live and queued root runs by DAG name and queue."""
    found: dict[tuple[str, str], Activity] = {}
    for name, queue, status, count in connection.execute(_count_active, {"names": list(dag_names)}):
        before = found.get((name, queue), Activity())
        queued = count if status == _QUEUED else 0
        found[name, queue] = Activity(
            dag_active=before.dag_active + count - queued, dag_queued=before.dag_queued + queued
        )
    return found


def add_runs(connection: WriteConnection, runs: Sequence[NewRun]) -> None:
    """Insert accepted runs with everything that belongs to them."""
    by_hash = {run.definition["hash"]: run.definition for run in runs}
    _add_definitions.execute_many(connection, [by_hash[content_hash] for content_hash in sorted(by_hash)])
    _add_runs.execute_many(connection, [run.run for run in runs])
    run_search_index.add(connection, [run.run for run in runs])
    _add_attempts.execute_many(connection, [run.attempt for run in runs])
    _add_nodes.execute_many(connection, [node for run in runs for node in run.nodes])
    _add_inputs.execute_many(connection, [run.inputs for run in runs])
    _add_events.execute_many(connection, [event for run in runs for event in run.events])
    _add_entries.execute_many(connection, [run.entry for run in runs if run.entry is not None])


def lock_queued(connection: WriteConnection, runs: Iterable[int]) -> dict[int, int]:
    """Lock those of the runs that wait, and tell the numbers of their last events.

    Whoever takes a run out of its queue does this first, so that all lock run and entry in one order; and while it
    is locked nobody sets a status of it by hand.
    """
    keys = [row.id for row in connection.execute(_lock_queued, {"runs": list(runs)})]
    return last_sequences(connection, keys) if keys else {}


def claim(connection: WriteConnection, claims: Sequence[Claim]) -> None:
    """Make queued runs whose entries were taken their claimer's, and store what their drivers did at once."""
    owned = [
        {
            "b_run_id": claim.fence.run,
            "b_number": claim.fence.attempt,
            "owner": claim.owner,
            "token": claim.fence.token,
            "host": claim.host,
        }
        for claim in claims
    ]
    _own_attempts.execute_many(connection, owned)
    _add_run_changes.execute_many(connection, [{"b_id": claim.fence.run, **claim.run} for claim in claims])
    run_search_index.update_params(connection, {claim.fence.run: claim.run["params"] for claim in claims})
    _reopen_inputs.execute_many(connection, [{"b_run_id": claim.fence.run, **claim.inputs} for claim in claims])
    apply(connection, [claim.first_steps for claim in claims if claim.first_steps is not None])


def lock_finished(connection: WriteConnection, runs: Iterable[int]) -> dict[int, FinishedRun]:
    """Lock those of the runs that are over, in one order, and tell how they stand.

    The others are left alone: their owner writes to them, and may wait for us elsewhere.
    """
    attempts = {row.id: row.attempt for row in connection.execute(_lock_finished, {"runs": list(runs)})}
    sequences = last_sequences(connection, attempts) if attempts else {}
    return {key: FinishedRun(attempt, sequences.get(key, 0)) for key, attempt in attempts.items()}


def add_attempts(connection: WriteConnection, attempts: Sequence[NewAttempt]) -> None:
    """Open the next attempts of runs that were locked; what was asked of the attempts before is settled."""
    _reopen_runs.execute_many(connection, [{"b_id": attempt.key, **attempt.run} for attempt in attempts])
    run_search_index.update_params(connection, {attempt.key: attempt.run["params"] for attempt in attempts})
    _add_attempts.execute_many(connection, [attempt.attempt for attempt in attempts])
    _add_nodes.execute_many(connection, [node for attempt in attempts for node in attempt.nodes])
    _reopen_inputs.execute_many(connection, [{"b_run_id": attempt.key, **attempt.inputs} for attempt in attempts])
    _add_events.execute_many(connection, [event for attempt in attempts for event in attempt.events])
    _add_entries.execute_many(connection, [attempt.entry for attempt in attempts if attempt.entry is not None])
    opened = [{"b_run_id": attempt.key, "b_handled_at": attempt.attempt["opened_at"]} for attempt in attempts]
    _drop_requests.execute_many(connection, opened)


def lock_fences(connection: WriteConnection, owner: str, fences: Iterable[Fence]) -> set[Fence]:
    """Lock the open attempts among the fences that this owner still holds, in one order."""
    runs = list({fence.run for fence in fences})
    rows = connection.execute(_lock_fences, {"runs": runs, "me": owner})
    return {Fence(run=row[0], attempt=row[1], token=row[2]) for row in rows}


def last_sequences(connection: ReadConnection, runs: Iterable[int]) -> dict[int, int]:
    """Tell the number of the last stored event of each run."""
    rows = connection.execute(
        select(RunEvent.run_id, func.max(RunEvent.seq)).where(RunEvent.run_id.in_(set(runs))).group_by(RunEvent.run_id)
    )
    return {row[0]: row[1] for row in rows}


def last_chunk(connection: ReadConnection, fence: Fence, position: int, stream: int) -> int:
    """Tell the number of the last stored chunk of a stream; -1 when there is none."""
    seq = connection.execute(
        select(func.max(LogChunk.seq)).where(
            LogChunk.run_id == fence.run,
            LogChunk.attempt == fence.attempt,
            LogChunk.position == position,
            LogChunk.stream == stream,
        )
    ).scalar()
    return -1 if seq is None else seq


def apply(connection: WriteConnection, transitions: Sequence[Transition]) -> None:
    """Store transitions whose fences are held; transitions of one run come in order."""
    _add_chunks.execute_many(connection, [chunk for transition in transitions for chunk in transition.chunks])
    _update_nodes.execute_many(connection, [_node_parameters(node) for t in transitions for node in t.nodes])
    _add_events.execute_many(connection, [event for transition in transitions for event in transition.events])
    _update_runs.execute_many(connection, [{"b_id": t.fence.run, **t.run} for t in transitions if t.run is not None])
    attempts = [_attempt_parameters(t.fence, t.attempt) for t in transitions if t.attempt is not None]
    _update_attempts.execute_many(connection, attempts)
    handled = [{"b_id": key, "b_handled_at": t.requests_handled_at} for t in transitions for key in t.requests]
    _handle_requests.execute_many(connection, handled)
    over = {t.fence: t.errors for t in transitions if t.errors is not None}
    run_search_index.delete_errors(connection, [fence.run for fence in over if fence.attempt > 1])
    run_search_index.add_errors(connection, {fence.run: text for fence, text in over.items()})


def _node_parameters(node: Row) -> Row:
    return {(f"b_{name}" if name in _NODE_KEYS else name): value for name, value in node.items()}


def _attempt_parameters(fence: Fence, values: Row) -> Row:
    return {"b_run_id": fence.run, "b_number": fence.attempt, **values}
