"""Hot-path writes: accepting runs and storing their transitions, many runs in one transaction.

Only precompiled statements, one for each kind of row of a transaction. The caller passes complete rows; fences are
locked first and in one order, so that two servers cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Boolean, Text, bindparam, case, func, insert, literal_column, select

from dagbook.audit_entry import NewAuditEntry
from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.alert import AlertRule
from dagbook.db.models.definition import Removal
from dagbook.db.models.node import Approval, LogChunk, Node, Summary
from dagbook.db.models.queue import QueueEntry
from dagbook.db.models.run import IS_ACTIVE, Run, RunAttempt, RunEvent, RunInput, RunRequest, SecretUse
from dagbook.db.models.trigger import Trigger
from dagbook.db.prepared import Prepared, update_by
from dagbook.db.repositories import definitions
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.alerts import run_mails
from dagbook.db.repositories.alerts.run_mails import NewRunMail
from dagbook.db.repositories.batches.turns import ItemKey
from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.db.repositories.runs import search_index
from dagbook.db.repositories.runs.run_rows import (
    AttemptChange,
    AttemptOwner,
    EvaluatedInputs,
    InputRow,
    NewApproval,
    NewAttemptRow,
    NewChunk,
    NewEvent,
    NewNode,
    NewQueueEntry,
    NewRunRow,
    NewSecretUse,
    NewSummary,
    ParamsChange,
    ReopenedRun,
    RunChange,
)
from dagbook.db.repositories.runs.runs import NodeChange, NodeRow
from dagbook.db.repositories.schedules import Slot
from dagbook.db.statements import insert_into
from dagbook.db.types import Base
from dagbook.engine.admission import Admission, Pause
from dagbook.engine.status import RunStatus

_UNLIMITED = -1
_FINISHED = (RunStatus.FAILED, RunStatus.ABORTED, RunStatus.SUCCEEDED, RunStatus.PARTIALLY_SUCCEEDED)
# Statements are built once, because building one costs several times its execution.
_find_used = Prepared(
    select(Run.dag_name, Run.run_id).where(
        Run.dag_name == bindparam("dag_name"), Run.run_id == bindparam("run_id"), Run.root_id.is_(None)
    )
)
# In one statement, which takes both kinds of locks in the order of the names.
_name = func.hashtext(bindparam("name", type_=Text))
_lock_names = Prepared(
    select(
        case(
            (bindparam("shared", type_=Boolean), func.pg_advisory_xact_lock_shared(_name)),
            else_=func.pg_advisory_xact_lock(_name),
        )
    )
)
PAUSE = "the pause of everything"  # shared by groups that start runs, exclusive for who pauses; no DAG has such a name
# Active runs are few, and runs of a name may be very many, so the partial index of active runs is the better one.
# SQLite uses it only if the statement contains the literal condition of that index.
_count_active = Prepared(
    select(Run.dag_name, Run.queue, Run.status, func.count())
    .where(Run.dag_name == bindparam("name"), IS_ACTIVE)
    .group_by(Run.dag_name, Run.queue, Run.status)
)
# A worker may read these columns of rules and triggers alone, so that this selects no row.
_has_rules = select(literal_column("1")).where(AlertRule.enabled).exists()
_has_followers = select(literal_column("1")).where(Trigger.upstream_id.is_not(None)).exists()
_lock_fences = Prepared(
    select(RunAttempt.run_id, RunAttempt.number, RunAttempt.token, _has_rules, _has_followers)
    .where(
        RunAttempt.run_id == bindparam("run"),
        RunAttempt.owner == bindparam("owner"),
        RunAttempt.closed_at.is_(None),
    )
    .order_by(RunAttempt.run_id)
    .with_for_update()
)
# The key is not locked, because other transactions may refer to the row. A run that is being deleted is incomplete.
_lock_finished = Prepared(
    select(Run.id, Run.attempt)
    .where(
        Run.id == bindparam("run"),
        Run.status.in_([literal_column(str(int(status))) for status in _FINISHED]),
        Run.id.not_in(select(Removal.run_id)),
    )
    .order_by(Run.id)
    .with_for_update(key_share=True)
)
_lock_queued = Prepared(
    select(Run.id)
    .where(Run.id == bindparam("run"), Run.status == literal_column(str(int(RunStatus.QUEUED))))
    .order_by(Run.id)
    .with_for_update(key_share=True)
)
_add_runs, _add_attempts, _add_nodes = Prepared(insert(Run)), Prepared(insert(RunAttempt)), Prepared(insert(Node))
_add_inputs, _add_events = Prepared(insert(RunInput)), Prepared(insert(RunEvent))
_add_chunks, _add_approvals = Prepared(insert(LogChunk)), Prepared(insert(Approval))
_add_entries, _add_uses = Prepared(insert(QueueEntry)), Prepared(insert(SecretUse))
_put_summary = insert_into(Summary)
_put_summaries = Prepared(
    _put_summary.on_conflict_do_update(
        index_elements=["run_id", "attempt", "position"], set_={"text": _put_summary.excluded["text"]}
    )
)
_handle_requests, _drop_requests = (
    Prepared(update_by(RunRequest, ["handled_at"], key).where(RunRequest.handled_at.is_(None)))
    for key in ("id", "run_id")
)


class Fence(msgspec.Struct, frozen=True):
    """Permission to write to an attempt: its number and the fencing token of its owner."""

    run: int
    attempt: int
    token: int


class LockedFences(msgspec.Struct, frozen=True):
    """The fences that an owner still has, whether any rule of alerts is enabled, and whether any trigger follows a DAG.

    No process remembers these.
    """

    held: frozenset[Fence]
    has_rules: bool
    has_followers: bool


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of one run since its last commit; every part may be empty."""

    fence: Fence
    nodes: Sequence[NodeChange] = ()
    events: Sequence[NewEvent] = ()
    chunks: Sequence[NewChunk] = ()
    run: RunChange | None = None
    attempt: AttemptChange | None = None
    requests: Sequence[int] = ()  # ids of the handled requests; newer ones may have been added since
    requests_handled_at: datetime | None = None
    errors: str | None = None  # errors of a finished attempt, empty if it has none
    evaluated: EvaluatedInputs | None = None  # once, when the attempt begins
    approvals: Sequence[NewApproval] = ()
    summaries: Sequence[NewSummary] = ()
    mails: Sequence[NewRunMail] = ()  # that its events require


class StartingRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run or attempt to accept: complete rows, and the values for its admission checks."""

    key: int
    dag_name: str
    run_id: str
    admission: Admission
    max_active_runs: int  # of its DAG
    queue: str = ""
    queue_limit: int = 0  # limit of active runs in its queue, of any DAG; 0: no limit
    # With queues a run is queued when its queue is full, and cannot start while that is paused or has entries.
    queues_enabled: bool = True
    priority: int = 0
    selector: Mapping[str, str] | None = None
    entry: NewQueueEntry | None = None  # if it is to be queued
    run: NewRunRow | ReopenedRun
    attempt: NewAttemptRow
    inputs: InputRow
    uses: Sequence[NewSecretUse] = ()
    nodes: Sequence[NewNode | NodeRow]
    events: Sequence[NewEvent]
    audit: NewAuditEntry | None = None  # the audit entry, if a user started it
    secret_audit: NewAuditEntry | None = None  # the audit entry of the secrets that it reads, if any
    first_steps: Transition | None = None  # the first transition of its runner, stored in the same transaction
    given: EvaluatedInputs | None = None  # its inputs as they were given, stored instead if it is queued
    item: ItemKey | None = None  # the item of a batch that begins with it, in the same transaction
    despite_pause: bool = False  # whether it starts although everything is paused

    @property
    def is_root(self) -> bool:
        """Whether a pause of everything holds for it; sub-runs and their attempts go on."""
        return self.admission is not Admission.UNLIMITED

    @property
    def dag_limit(self) -> int:
        """The limit of active runs of its DAG that applies to it; less than 1 for none."""
        return _UNLIMITED if self.admission is Admission.UNLIMITED else self.max_active_runs

    @property
    def is_limited_when_queued(self) -> bool:
        """Whether the limit of its DAG also applies to queued runs: in its own queue they wait for that limit."""
        return self.queue != self.dag_name and self.dag_limit > 1

    @property
    def may_wait(self) -> bool:
        """Whether it is queued instead of refused when its queue is full."""
        return self.queues_enabled and self.admission is not Admission.SINGLETON and not self.despite_pause


class NewRun(StartingRun, frozen=True, kw_only=True):
    """A run to accept, with its first attempt."""

    run: NewRunRow
    definition: DefinitionRow
    slot: Slot | None = None  # the schedule slot that it is started for, completed in the same transaction
    trigger_event: str | None = None  # the event of a trigger that it is started for, settled in the same transaction
    is_child: bool = False  # whether it is a sub-run, to which limits of its DAG do not apply
    is_named: bool = True  # whether its id may be used already: the caller gave it

    @property
    def is_root(self) -> bool:
        return not self.is_child


class NewAttempt(StartingRun, frozen=True, kw_only=True):
    """The next attempt of a finished run; ``previous`` and ``last_seq`` are what its rows were made from."""

    run: ReopenedRun
    previous: int
    last_seq: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A queued run to start: its new owner, and the first transition of its runner.

    ``last_seq`` is the last event that the runner has read, ``fence`` the new fence of the run, ``inputs`` the
    re-evaluated inputs.
    """

    fence: Fence
    last_seq: int
    queue: str
    owner: str
    host: str
    inputs: EvaluatedInputs
    first_steps: Transition | None
    by_worker: bool = False  # whether it was offered to workers, several of which may claim runs at the same time


class FinishedRun(msgspec.Struct, frozen=True):
    """Attempt and last event of a finished run."""

    attempt: int
    last_seq: int


class Activity(msgspec.Struct, frozen=True):
    """Number of active and of queued runs of a DAG in a queue, and of active runs of all DAGs there.

    ``queue_blocked`` is true when the queue is paused or has entries of any DAG; ``pause`` is that of everything.
    """

    dag_active: int = 0
    dag_queued: int = 0
    queue_active: int = 0
    queue_blocked: bool = False
    pause: Pause | None = None


def _update(model: type[Base], row: type[msgspec.Struct], *keys: str) -> Prepared:
    """Prepare the update that sets the fields of rows, which have the keys of what they change."""
    return Prepared(update_by(model, [name for name in row.__struct_fields__ if name not in keys], *keys))


_update_runs, _update_params = _update(Run, RunChange, "id"), _update(Run, ParamsChange, "id")
_reopen_runs, _update_inputs = _update(Run, ReopenedRun, "id"), _update(RunInput, InputRow, "run_id")
_update_attempts = _update(RunAttempt, AttemptChange, "run_id", "number")
_own_attempts = _update(RunAttempt, AttemptOwner, "run_id", "number")
_update_nodes = _update(Node, NodeChange, "run_id", "attempt", "position")


def lock_names(connection: WriteConnection, names: Iterable[str], shared: Collection[str] = ()) -> None:
    """Lock the admission of runs of these names until the end of the transaction; SQLite has one writer anyway.

    Otherwise two servers would each count the active runs without the other's new one, and both would start theirs.
    Those that are ``shared`` are locked against who locks them alone. What they guard is read by later statements: one
    that waits for a lock does not see what was committed meanwhile.
    """
    if connection.dialect.name == "postgresql":
        rows = [{"name": name, "shared": name in shared} for name in sorted({*names, *shared})]
        _lock_names.execute_many(connection, rows)


def find_used(connection: ReadConnection, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of the (DAG name, run id) pairs that root runs already have."""
    pairs = [{"dag_name": dag_name, "run_id": run_id} for dag_name, run_id in set(keys)]
    return {(dag_name, run_id) for dag_name, run_id in _find_used.execute_many(connection, pairs)}


def count_active(connection: ReadConnection, dag_names: Iterable[str]) -> dict[tuple[str, str], Activity]:
    """Count active and queued root runs by DAG name and queue."""
    found: dict[tuple[str, str], Activity] = {}
    for name, queue, status, count in _count_active.execute_many(connection, [{"name": name} for name in dag_names]):
        before = found.get((name, queue), Activity())
        queued = count if status == RunStatus.QUEUED else 0
        found[name, queue] = Activity(
            dag_active=before.dag_active + count - queued, dag_queued=before.dag_queued + queued
        )
    return found


def add_runs(connection: WriteConnection, runs: Sequence[NewRun]) -> None:
    """Insert accepted runs with all their rows, and store the first transitions of their runners."""
    # The name of a stored DAG is known since it was saved; a text or a start may give another one.
    given = {run.dag_name for run in runs if not run.is_child and run.run.file_name != run.dag_name}
    dag_access.add_unknown(connection, given)
    definitions.add_missing(connection, [run.definition for run in runs])
    _add_runs.execute_many(connection, [run.run for run in runs])
    search_index.add(connection, [run.run for run in runs])
    _add_inputs.execute_many(connection, [run.inputs for run in runs])
    _add_attempt_rows(connection, runs)


def lock_queued(connection: WriteConnection, runs: Iterable[int]) -> dict[int, int]:
    """Lock those of the runs that are queued, and return the numbers of their last events.

    Every transaction that removes a run from its queue does this first, so that all lock run and entry in the same
    order. The lock also prevents manual status changes.
    """
    keys = [row[0] for row in _lock_queued.execute_many(connection, [{"run": run} for run in runs])]
    return last_sequences(connection, keys) if keys else {}


def claim(connection: WriteConnection, claims: Sequence[Claim]) -> None:
    """Set the owner of queued runs whose entries were removed, and store the first transitions of their runners."""
    owned = [
        AttemptOwner(
            run_id=claim.fence.run,
            number=claim.fence.attempt,
            owner=claim.owner,
            token=claim.fence.token,
            host=claim.host,
        )
        for claim in claims
    ]
    _own_attempts.execute_many(connection, owned)
    _set_inputs(connection, [claim.inputs for claim in claims])


def _set_inputs(connection: WriteConnection, evaluated: Sequence[EvaluatedInputs]) -> None:
    """Replace the params and inputs of runs by evaluated ones."""
    inputs = [each.inputs for each in evaluated]
    changes = [
        ParamsChange(id=each.inputs.run_id, params=each.inputs.params, params_text=each.params_text)
        for each in evaluated
    ]
    _update_params.execute_many(connection, changes)
    search_index.update_params(connection, {row.run_id: row.params for row in inputs})
    _update_inputs.execute_many(connection, inputs)
    _add_uses.execute_many(connection, [use for each in evaluated for use in each.uses])


def lock_finished(connection: WriteConnection, runs: Iterable[int]) -> dict[int, FinishedRun]:
    """Lock those of the runs that are finished, in one order, and return their attempts and last events.

    The others are not locked: their owner writes to them, and may wait for this transaction elsewhere.
    """
    attempts = {row[0]: row[1] for row in _lock_finished.execute_many(connection, [{"run": run} for run in runs])}
    sequences = last_sequences(connection, attempts) if attempts else {}
    return {key: FinishedRun(attempt, sequences.get(key, 0)) for key, attempt in attempts.items()}


def add_attempts(connection: WriteConnection, attempts: Sequence[NewAttempt]) -> None:
    """Add the next attempts of locked runs as ``add_runs``, and mark stop requests of earlier attempts as handled."""
    _reopen_runs.execute_many(connection, [attempt.run for attempt in attempts])
    search_index.update_params(connection, {attempt.key: attempt.run.params for attempt in attempts})
    _update_inputs.execute_many(connection, [attempt.inputs for attempt in attempts])
    opened = [{"b_run_id": attempt.key, "handled_at": attempt.attempt.opened_at} for attempt in attempts]
    _drop_requests.execute_many(connection, opened)
    _add_attempt_rows(connection, attempts)


def _add_attempt_rows(connection: WriteConnection, new: Sequence[StartingRun]) -> None:
    _add_attempts.execute_many(connection, [each.attempt for each in new])
    _add_nodes.execute_many(connection, [node for each in new for node in each.nodes])
    _add_entries.execute_many(connection, [each.entry for each in new if each.entry is not None])
    _add_uses.execute_many(connection, [use for each in new for use in each.uses])


def add_events(connection: WriteConnection, events: Sequence[NewEvent]) -> None:
    """Add events to the history of locked runs."""
    _add_events.execute_many(connection, events)


def lock_fences(connection: WriteConnection, owner: str, fences: Iterable[Fence]) -> LockedFences:
    """Lock the open attempts that this owner still owns, in one order, and return their fences."""
    runs = [{"run": run, "owner": owner} for run in {fence.run for fence in fences}]
    rows = _lock_fences.execute_many(connection, runs)
    held = frozenset(Fence(run, attempt, token) for run, attempt, token, *_ in rows)
    return LockedFences(held, any(row[3] for row in rows), any(row[4] for row in rows))


def last_sequences(connection: ReadConnection, runs: Iterable[int]) -> dict[int, int]:
    """Return the number of the last stored event of each run."""
    rows = connection.execute(
        select(RunEvent.run_id, func.max(RunEvent.seq)).where(RunEvent.run_id.in_(set(runs))).group_by(RunEvent.run_id)
    )
    return {row[0]: row[1] for row in rows}


def last_chunk(connection: ReadConnection, fence: Fence, position: int, stream: int) -> int:
    """Return the number of the last stored chunk of a stream; -1 when there is none."""
    seq = connection.execute(
        select(func.max(LogChunk.seq)).where(
            LogChunk.run_id == fence.run,
            LogChunk.attempt == fence.attempt,
            LogChunk.position == position,
            LogChunk.stream == stream,
        )
    ).scalar()
    return -1 if seq is None else seq


def has_approval(connection: ReadConnection, fence: Fence, position: int) -> bool:
    """Whether a step has asked for an approval in this attempt."""
    found = select(Approval.position).where(
        Approval.run_id == fence.run, Approval.attempt == fence.attempt, Approval.position == position
    )
    return connection.scalar(found) is not None


def apply(connection: WriteConnection, transitions: Sequence[Transition], events: Sequence[NewEvent] = ()) -> None:
    """Store transitions whose fences are locked, after earlier events; transitions of one run are in order."""
    _set_inputs(connection, [t.evaluated for t in transitions if t.evaluated is not None])
    _add_chunks.execute_many(connection, [chunk for t in transitions for chunk in t.chunks])
    _update_nodes.execute_many(connection, [node for t in transitions for node in t.nodes])
    _add_events.execute_many(connection, [*events, *(event for t in transitions for event in t.events)])
    _add_approvals.execute_many(connection, [approval for t in transitions for approval in t.approvals])
    put_summaries(connection, [summary for t in transitions for summary in t.summaries])
    run_mails.add(connection, [mail for t in transitions for mail in t.mails])
    _update_runs.execute_many(connection, [t.run for t in transitions if t.run is not None])
    _update_attempts.execute_many(connection, [t.attempt for t in transitions if t.attempt is not None])
    handled = [{"b_id": key, "handled_at": t.requests_handled_at} for t in transitions for key in t.requests]
    _handle_requests.execute_many(connection, handled)
    finished = {t.fence: t.errors for t in transitions if t.errors is not None}
    search_index.delete_errors(connection, [fence.run for fence in finished if fence.attempt > 1])
    search_index.add_errors(connection, {fence.run: text for fence, text in finished.items()})


def put_summaries(connection: WriteConnection, summaries: Iterable[NewSummary]) -> None:
    """Store the summaries of nodes in place of earlier ones; of several of one node the last."""
    latest = {(each.run_id, each.attempt, each.position): each for each in summaries}
    _put_summaries.execute_many(connection, list(latest.values()))
