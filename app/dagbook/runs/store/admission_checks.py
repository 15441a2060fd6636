"""Whether a run may be started, or tried again, now. Pure."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from dagbook.db.repositories.runs.run_writes import Activity, Claim, FinishedRun, NewAttempt, NewRun
from dagbook.db.repositories.schedules import RESTARTING, Slot

CHANGED = "changed"  # never told to a client: what was read has to be read again
NOT_NEXT = "not_next"  # nor this: others go first
SLOT_TAKEN = "slot_taken"  # nor this: another server was faster
_LIMIT = "max_run_reached"


class Refusal(msgspec.Struct, frozen=True):
    """Why a run was not accepted."""

    code: str
    message: str


def check_start(run: NewRun, used: bool, activity: Activity) -> Refusal | None:
    """Say why a run must not be started now, in the order that clients rely on (api-behaviour 3.4)."""
    if used:
        return Refusal("already_exists", f"run {run.run_id!r} of DAG {run.dag_name!r} exists already")
    if activity.dag_active and (run.singleton or (run.max_active_runs == 1 and run.entry is None)):
        return Refusal(_LIMIT, f"DAG {run.dag_name!r} is running already and allows one run at a time")
    if run.entry is not None:
        return _dag_full(run.dag_name, run.max_active_runs, activity) if run.limited else None
    waits = run.patient and run.may_wait and not run.limited
    refusal = None if waits else _dag_full(run.dag_name, run.max_active_runs, activity)
    return refusal or _queue_full(run, activity)


def check_slot(slot: Slot, outcome: str | None) -> Refusal | None:
    """Say why a time of a schedule must not be settled; ``outcome`` is what has become of it so far."""
    if outcome == (RESTARTING if slot.awaiting_restart else None):
        return None
    return Refusal(
        SLOT_TAKEN, f"the {slot.key.kind} of {slot.file_name} at {slot.key.minute:%H:%M} UTC has been seen to"
    )


def is_queue_full(run: NewRun | NewAttempt, activity: Activity) -> bool:
    """Whether there is no room for a run in its queue, or others wait there before it."""
    return run.queue_limit > 0 and (
        run.queue_limit <= activity.queue_active or (run.in_turn and activity.queue_blocked)
    )


def _queue_full(run: NewRun | NewAttempt, activity: Activity) -> Refusal | None:
    if run.may_wait or not is_queue_full(run, activity):
        return None
    if run.queue_limit <= activity.queue_active:
        return Refusal(
            _LIMIT, f"queue {run.queue!r} has {activity.queue_active} of at most {run.queue_limit} runs under way"
        )
    return Refusal(_LIMIT, f"queue {run.queue!r} is paused, or other runs wait in it already")


def check_retry(attempt: NewAttempt, standing: FinishedRun | None, activity: Activity) -> Refusal | None:
    """Say why a run must not be tried again now (runtime 21.3); ``standing`` is None while it is not over, or goes."""
    if standing is None or standing.attempt != attempt.previous:
        return Refusal(
            _LIMIT,
            f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} is not over, was retried just now or is going",
        )
    if standing.last_seq != attempt.last_seq:
        return Refusal(CHANGED, f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} was changed just now; try again")
    if not attempt.counted:
        return None
    return _dag_full(attempt.dag_name, attempt.max_active_runs, activity) or _queue_full(attempt, activity)


def check_claim(claim: Claim, released: Collection[int], last_seq: int | None) -> Refusal | None:
    """Say why a queued run must not be begun now: it is not the next one, or not as it was read."""
    if claim.fence.run not in released or last_seq is None:
        return Refusal(NOT_NEXT, f"it is not the turn of run {claim.fence.run} in queue {claim.queue!r}")
    if last_seq != claim.last_seq:
        return Refusal(CHANGED, f"run {claim.fence.run} was changed just now; try again")
    return None


def _dag_full(dag_name: str, most: int, activity: Activity) -> Refusal | None:
    if 0 < most <= activity.dag_active + activity.dag_queued:
        return Refusal(_LIMIT, f"DAG {dag_name!r} has reached its limit of {most} active runs")
    return None
