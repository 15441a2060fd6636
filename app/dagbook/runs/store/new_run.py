"""Rows of a new run or attempt, and checks whether one may be started, retried or claimed now. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from dagbook.audit_entry import NewAuditEntry
from dagbook.auth.audit_context import ANONYMOUS, Action, Actor, run_action
from dagbook.db.repositories.accounts.principals import Principal
from dagbook.db.repositories.batches.turns import ItemKey, Turns
from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.db.repositories.runs.run_rows import (
    EvaluatedInputs,
    InputRow,
    NewAttemptRow,
    NewNode,
    NewQueueEntry,
    NewRunRow,
)
from dagbook.db.repositories.runs.run_writes import Activity, Claim, FinishedRun, NewAttempt, NewRun, StartingRun
from dagbook.db.repositories.schedules import Slot
from dagbook.engine.admission import Admission, QueueConfig, QueuedRun
from dagbook.engine.event import HANDLER_NAMES
from dagbook.engine.plan import Plan
from dagbook.engine.status import RunStatus
from dagbook.runs.model import ClaimedRun, PendingInputs, RunRequest
from dagbook.runs.server_context import ServerContext, ServerIdentity
from dagbook.runs.store import row_mapping
from dagbook.runs.store.row_mapping import evaluated_inputs, input_row, secret_uses
from dagbook.spec.model import Dag, Pair
from dagbook.spec.params import param_text
from dagbook.spec.params.param_text import GivenParams

T = TypeVar("T", bound=StartingRun)
_FIRST = 1
_MOST_SECRETS, _LONGEST = 50, 200  # of one audit entry


def new_run(request: RunRequest, owned: ClaimedRun, context: ServerContext) -> NewRun:
    """Make the rows of the first attempt of a run, owned by this server from the start; raises EncryptionError."""
    now = context.now()
    dag, start = owned.definition.dag, request.start
    definition = DefinitionRow.of(request.spec, request.base, now)
    inputs = input_row(owned, context.encrypter)
    return NewRun(
        key=owned.key,
        dag_name=owned.dag_name,
        run_id=owned.run_id,
        admission=start.admission,
        max_active_runs=dag.max_active_runs,
        definition=definition,
        run=_run_row(request, owned, definition, inputs),
        attempt=attempt_row(owned, context.identity, now, start.principal),
        queue=_queue_of(owned),
        slot=start.slot,
        trigger_event=start.event,
        item=start.item,
        priority=start.priority,
        despite_pause=start.despite_pause,
        selector=dag.worker_selector if context.queues.sends_to_worker(dag.worker_selector) else None,
        is_child=owned.lineage is not None,
        is_named=bool(start.run_id),
        inputs=inputs,
        uses=secret_uses(owned),
        given=_as_given(request, owned, context) if request.evaluates else None,
        nodes=_node_rows(owned.key, dag),
        events=[row_mapping.accepted_event(owned.key, now, start.trigger, start.actor_label)],
        audit=_audit_entry(request, owned, definition.hash, now),
        secret_audit=secret_entry(owned, start.actor, now, reads_sealed=start.reads_sealed),
    )


def _as_given(request: RunRequest, owned: ClaimedRun, context: ServerContext) -> EvaluatedInputs:
    """Make the columns of the inputs of a run that waits: it is evaluated when it begins."""
    params = given_params(owned.definition.dag, request.start.params)
    inputs = replace(owned.inputs, params=params, pending=PendingInputs.of(request.start.params))
    return evaluated_inputs(replace(owned, inputs=inputs), context.encrypter)


def given_params(dag: Dag, given: GivenParams) -> tuple[Pair, ...]:
    """Return the params of a run as its definition and its caller wrote them."""
    return param_text.merge(dag.params, given.read())


def attempt_row(
    owned: ClaimedRun, identity: ServerIdentity, opened_at: datetime, principal: Principal
) -> NewAttemptRow:
    """Make the row of an attempt that this server begins, without a state yet."""
    return NewAttemptRow(
        run_id=owned.key,
        number=owned.attempt,
        status=RunStatus.NOT_STARTED,
        owner=identity.id,
        token=owned.token,
        host=identity.host_key,
        opened_at=opened_at,
        principal_id=principal.user_id,
        principal_token_id=principal.token_id,
    )


def with_queue_limit(new: T, queues: QueueConfig) -> T:
    """Add the limit of its queue to a run that is to start at once: the queue may be full of runs of other DAGs.

    In the implicit queue of its own DAG the limit of the DAG is enough. Only a scheduled run, which is queued and not
    refused at that limit, gets the limit of that queue.
    """
    if new.dag_limit < 0 or (queues.counts_own(new.queue, new.dag_name) and new.admission is not Admission.SCHEDULE):
        return new if queues.enabled else replace(new, queues_enabled=False)
    limit = queues.limit(QueuedRun(0, new.queue, new.dag_limit)) or 0
    return replace(new, queue_limit=limit, queues_enabled=queues.enabled)


def as_queued(new: T) -> T:
    """Turn a run or attempt that would start into a queued one without an owner, with its params as they were given."""
    at, first, entry = new.attempt.opened_at, new.events[0], new.audit
    run, inputs = new.run, new.inputs
    if new.given is not None:
        inputs = new.given.inputs
        run = replace(run, params=inputs.params, params_text=new.given.params_text)
    return replace(
        new,
        audit=entry and replace(entry, after={**(entry.after or {}), "queue": new.queue}),
        run=replace(run, status=RunStatus.QUEUED, queued_at=run.queued_at or at),
        inputs=inputs,
        uses=(),
        attempt=replace(new.attempt, status=RunStatus.QUEUED, owner=None, token=0, host=None),
        events=[replace(first, data=first.data | {"queue": new.queue})],
        entry=NewQueueEntry(
            run_id=new.key, queue=new.queue, priority=new.priority, queued_at=at, selector=new.selector
        ),
        first_steps=None,
    )


def as_begun(new: T) -> T:
    """Store an attempt as the first transition of its runner leaves it, instead of changing its row at once."""
    begun = new.first_steps.attempt if new.first_steps is not None else None
    if new.first_steps is None or begun is None:
        return new
    attempt = replace(new.attempt, status=begun.status, state=begun.state, closed_at=begun.closed_at)
    return replace(new, attempt=attempt, first_steps=replace(new.first_steps, attempt=None))


def _audit_entry(request: RunRequest, owned: ClaimedRun, definition_hash: str, now: datetime) -> NewAuditEntry | None:
    """Make the audit entry of a start by a person, without the params: the run has them, masked.

    A replayed event has the entry of its replay.
    """
    start = request.start
    if start.actor is None or start.event is not None:
        return None
    after = {"trigger": start.trigger, "dag": request.file_name, "revision": start.revision, "hash": definition_hash}
    after["despitePause"] = start.despite_pause or None
    known = {name: value for name, value in after.items() if value is not None}
    return start.actor.entry(run_action(start.action, owned, after=known), now)


def secret_entry(owned: ClaimedRun, actor: Actor | None, now: datetime, *, reads_sealed: bool) -> NewAuditEntry | None:
    """Make the audit entry of the secrets that an attempt reads, with or without a person; never their values."""
    secrets = owned.definition.dag.secrets
    if not secrets and not reads_sealed:
        return None
    named = [
        {name: getattr(one, name)[:_LONGEST] for name in ("name", "provider", "key")} for one in secrets[:_MOST_SECRETS]
    ]
    after = {"attempt": owned.attempt, "secrets": named, "count": len(secrets), "sealed": reads_sealed}
    return (actor or ANONYMOUS).entry(run_action(Action.SECRET_READ, owned, after=after), now)


def _queue_of(owned: ClaimedRun) -> str:
    return owned.queue or owned.definition.dag.queue or owned.dag_name


def _run_row(request: RunRequest, owned: ClaimedRun, definition: DefinitionRow, inputs: InputRow) -> NewRunRow:
    dag = owned.definition.dag
    return NewRunRow(
        id=owned.key,
        dag_name=owned.dag_name,
        run_id=owned.run_id,
        definition_hash=definition.hash,
        file_name=request.file_name,
        dag_revision=request.start.revision,
        queue=_queue_of(owned),
        root_id=owned.lineage.root if owned.lineage else None,
        parent_id=owned.lineage.parent if owned.lineage else None,
        trigger=request.start.trigger,
        actor=request.start.actor_label,
        params=inputs.params,
        params_text=param_text.format_pairs(inputs.params),
        tags=dag.tags,
        status=RunStatus.NOT_STARTED,
        attempt=_FIRST,
        created_at=definition.created_at,
        queued_at=None,
        max_active_runs=dag.max_active_runs,
        scheduled_at=request.start.scheduled_at,
    )


def _node_rows(key: int, dag: Dag) -> list[NewNode]:
    names = {position: step.name for position, step in enumerate(dag.steps)}
    names.update({position: HANDLER_NAMES[position] for position in Plan.of(dag).handlers})
    return [
        NewNode(run_id=key, attempt=_FIRST, position=position, name=name, handler=position < 0)
        for position, name in names.items()
    ]


# Internal codes, never sent to a client.
CHANGED = "changed"  # the run was changed after it was read: read it again
NOT_NEXT = "not_next"  # other entries of the queue are first
SLOT_TAKEN = "slot_taken"  # another server was faster
EVENT_SETTLED = "event_settled"  # so it was with an event of a trigger
PAUSED = "paused"  # everything is, and it may not wait
ITEM_TAKEN = "item_taken"  # or with an item of a batch
_LIMIT = "max_run_reached"


class Refusal(msgspec.Struct, frozen=True):
    """Reason why a start, retry or claim was refused."""

    code: str
    message: str


def check_start(run: NewRun, used: bool, activity: Activity) -> Refusal | None:
    """Check a start, in the order that clients rely on (api-behaviour 3.4); ``used``: the run id exists already."""
    return _with_pause(_refuse_start(run, used, activity), activity)


def _with_pause(refusal: Refusal | None, activity: Activity) -> Refusal | None:
    """Add that everything is paused to another reason: who takes care of that one does not start it either."""
    if refusal is None or activity.pause is None or refusal.code == PAUSED:
        return refusal
    return Refusal(refusal.code, f"{refusal.message}; {activity.pause.describe()}")


def _refuse_start(run: NewRun, used: bool, activity: Activity) -> Refusal | None:
    if used:
        return Refusal("already_exists", f"run {run.run_id!r} of DAG {run.dag_name!r} exists already")
    if activity.dag_active and (run.admission.is_singleton or (run.dag_limit == 1 and run.entry is None)):
        reason = f"DAG {run.dag_name!r} is running already and allows one run at a time"
        by_hand = run.admission is not Admission.SCHEDULE
        if by_hand and run.queues_enabled and not run.is_limited_when_queued:
            reason += "; enqueue the run to start it after that one"
        return Refusal(_LIMIT, reason)
    if run.entry is not None:
        if run.despite_pause and activity.pause is not None:
            return Refusal(PAUSED, f"a run for a worker waits in its queue, and {activity.pause.describe()}")
        return _dag_full(run, activity) if run.is_limited_when_queued else None
    is_queued_at_limit = run.admission is Admission.SCHEDULE and run.may_wait and not run.is_limited_when_queued
    refusal = None if is_queued_at_limit else _dag_full(run, activity)
    return refusal or _refuse_waiting(run, activity)


def check_slot(slot: Slot, outcome: str | None, run: int | None) -> Refusal | None:
    """Check whether a schedule slot is still open, by its stored outcome, None without one, and its run.

    The run is read for a batch alone, which takes what has none, or the one that it replaces.
    """
    if run in (None, slot.replaces) if slot.of_batch else outcome == slot.open_outcome:
        return None
    return Refusal(
        SLOT_TAKEN, f"the {slot.key.kind} of {slot.file_name} at {slot.key.minute:%H:%M} UTC has been handled already"
    )


def check_item(item: ItemKey, turns: Turns) -> Refusal | None:
    """Check whether an item of a batch may begin now."""
    if turns.may_begin(item):
        return None
    return Refusal(ITEM_TAKEN, f"item {item.place} of batch {item.batch} may not begin now")


def check_event(event: str, waiting: Collection[str]) -> Refusal | None:
    """Check whether an event of a trigger still waits."""
    return None if event in waiting else Refusal(EVENT_SETTLED, f"the event {event} may not start any more")


def must_wait(run: StartingRun, activity: Activity) -> bool:
    """Whether everything is paused, or the queue of a run is at its limit, paused, or has entries before the run."""
    return _is_paused(run, activity) or (
        run.queue_limit > 0
        and (run.queue_limit <= activity.queue_active or (run.queues_enabled and activity.queue_blocked))
    )


def _is_paused(run: StartingRun, activity: Activity) -> bool:
    return activity.pause is not None and not run.despite_pause


def _refuse_waiting(run: StartingRun, activity: Activity) -> Refusal | None:
    if run.may_wait or not must_wait(run, activity):
        return None
    if 0 < run.queue_limit <= activity.queue_active:
        return Refusal(
            _LIMIT, f"queue {run.queue!r} has {activity.queue_active} active runs; its limit is {run.queue_limit}"
        )
    if activity.pause is not None and _is_paused(run, activity):
        return Refusal(PAUSED, activity.pause.describe())
    return Refusal(_LIMIT, f"queue {run.queue!r} is paused, or has queued runs already")


def check_retry(attempt: NewAttempt, finished: FinishedRun | None, activity: Activity) -> Refusal | None:
    """Check a retry (runtime 21.3); ``finished`` is None if the run has not finished or is being deleted."""
    return _with_pause(_refuse_retry(attempt, finished, activity), activity)


def _refuse_retry(attempt: NewAttempt, finished: FinishedRun | None, activity: Activity) -> Refusal | None:
    if finished is None or finished.attempt != attempt.previous:
        return Refusal(
            _LIMIT,
            f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} has not finished, was retried just now"
            " or is being deleted",
        )
    if finished.last_seq != attempt.last_seq:
        return Refusal(CHANGED, f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} was changed just now; try again")
    return _dag_full(attempt, activity) or _refuse_waiting(attempt, activity)


def check_claim(claim: Claim, released: Collection[int], last_seq: int | None) -> Refusal | None:
    """Check the claim of a queued run: it must be released by its queue, and unchanged since it was read."""
    if claim.fence.run not in released or last_seq is None:
        return Refusal(NOT_NEXT, f"run {claim.fence.run} is not the next of queue {claim.queue!r}")
    if last_seq != claim.last_seq:
        return Refusal(CHANGED, f"run {claim.fence.run} was changed just now; try again")
    return None


def _dag_full(run: StartingRun, activity: Activity) -> Refusal | None:
    if 0 < run.dag_limit <= activity.dag_active + activity.dag_queued:
        counts = f"{activity.dag_active} active and {activity.dag_queued} queued"
        return Refusal(_LIMIT, f"DAG {run.dag_name!r} has reached its limit of {run.dag_limit} runs: it has {counts}")
    return None
