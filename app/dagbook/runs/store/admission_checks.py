"""Checks whether a run may be started, retried or claimed now. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from dagbook.db.repositories.runs.run_writes import Activity, Claim, FinishedRun, NewAttempt, NewRun, StartingRun
from dagbook.db.repositories.schedules import RESTARTING, Slot
from dagbook.engine.admission import Admission

# Internal codes, never sent to a client.
CHANGED = "changed"  # the run was changed after it was read: read it again
NOT_NEXT = "not_next"  # other entries of the queue are first
SLOT_TAKEN = "slot_taken"  # another server was faster
_LIMIT = "max_run_reached"


class Refusal(msgspec.Struct, frozen=True):
    """Reason why a start, retry or claim was refused."""

    code: str
    message: str


def check_start(run: NewRun, used: bool, activity: Activity) -> Refusal | None:
    """Check a start, in the order that clients rely on (api-behaviour 3.4); ``used``: the run id exists already."""
    if used:
        return Refusal("already_exists", f"run {run.run_id!r} of DAG {run.dag_name!r} exists already")
    if activity.dag_active and (run.admission.is_singleton or (run.dag_limit == 1 and run.entry is None)):
        return Refusal(_LIMIT, f"DAG {run.dag_name!r} is running already and allows one run at a time")
    if run.entry is not None:
        return _dag_full(run, activity) if run.is_limited_when_queued else None
    is_queued_at_limit = run.admission is Admission.SCHEDULE and run.may_wait and not run.is_limited_when_queued
    refusal = None if is_queued_at_limit else _dag_full(run, activity)
    return refusal or _queue_full(run, activity)


def check_slot(slot: Slot, outcome: str | None) -> Refusal | None:
    """Check whether a schedule slot is still open; ``outcome`` is its stored outcome, None without one."""
    if outcome == (RESTARTING if slot.awaiting_restart else None):
        return None
    return Refusal(
        SLOT_TAKEN, f"the {slot.key.kind} of {slot.file_name} at {slot.key.minute:%H:%M} UTC has been handled already"
    )


def is_queue_full(run: StartingRun, activity: Activity) -> bool:
    """Whether the queue of a run is at its limit, paused, or has entries before the run."""
    return run.queue_limit > 0 and (
        run.queue_limit <= activity.queue_active or (run.queues_enabled and activity.queue_blocked)
    )


def _queue_full(run: StartingRun, activity: Activity) -> Refusal | None:
    if run.may_wait or not is_queue_full(run, activity):
        return None
    if run.queue_limit <= activity.queue_active:
        return Refusal(
            _LIMIT, f"queue {run.queue!r} has {activity.queue_active} active runs; its limit is {run.queue_limit}"
        )
    return Refusal(_LIMIT, f"queue {run.queue!r} is paused, or has queued runs already")


def check_retry(attempt: NewAttempt, finished: FinishedRun | None, activity: Activity) -> Refusal | None:
    """Check a retry (runtime 21.3); ``finished`` is None if the run has not finished or is being deleted."""
    if finished is None or finished.attempt != attempt.previous:
        return Refusal(
            _LIMIT,
            f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} has not finished, was retried just now"
            " or is being deleted",
        )
    if finished.last_seq != attempt.last_seq:
        return Refusal(CHANGED, f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} was changed just now; try again")
    return _dag_full(attempt, activity) or _queue_full(attempt, activity)


def check_claim(claim: Claim, released: Collection[int], last_seq: int | None) -> Refusal | None:
    """Check the claim of a queued run: it must be released by its queue, and unchanged since it was read."""
    if claim.fence.run not in released or last_seq is None:
        return Refusal(NOT_NEXT, f"run {claim.fence.run} is not the next of queue {claim.queue!r}")
    if last_seq != claim.last_seq:
        return Refusal(CHANGED, f"run {claim.fence.run} was changed just now; try again")
    return None


def _dag_full(run: StartingRun, activity: Activity) -> Refusal | None:
    if 0 < run.dag_limit <= activity.dag_active + activity.dag_queued:
        return Refusal(_LIMIT, f"DAG {run.dag_name!r} has reached its limit of {run.dag_limit} active runs")
    return None
