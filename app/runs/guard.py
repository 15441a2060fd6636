"""Whether a run may be started, or tried again, now. Pure."""

from __future__ import annotations

import msgspec

from app.db.repositories.transitions import Activity, NewAttempt, NewRun, Standing

CHANGED = "changed"  # never told to a client: what was read has to be read again
_LIMIT = "max_run_reached"


class Refusal(msgspec.Struct, frozen=True):
    """Why a run was not accepted."""

    code: str
    message: str


def guard(run: NewRun, used: bool, activity: Activity) -> Refusal | None:
    """Say why a run must not be started now, in the order that clients rely on (api-behaviour 3.4)."""
    if used:
        return Refusal("already_exists", f"run {run.run_id!r} of DAG {run.dag_name!r} exists already")
    if activity.live and (run.singleton or run.max_active_runs == 1):
        return Refusal(_LIMIT, f"DAG {run.dag_name!r} is running already and allows one run at a time")
    return _full(run.dag_name, run.max_active_runs, activity)


def guard_again(attempt: NewAttempt, standing: Standing | None, activity: Activity) -> Refusal | None:
    """Say why a run must not be tried again now (runtime 21.3); ``standing`` is None while the run is not over."""
    if standing is None or standing.attempt != attempt.previous:
        return Refusal(
            _LIMIT, f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} is not over, or was retried just now"
        )
    if standing.last_seq != attempt.last_seq:
        return Refusal(CHANGED, f"run {attempt.run_id!r} of DAG {attempt.dag_name!r} was changed just now; try again")
    return _full(attempt.dag_name, attempt.max_active_runs, activity) if attempt.counted else None


def _full(dag_name: str, most: int, activity: Activity) -> Refusal | None:
    if 0 < most <= activity.live + activity.queued:
        return Refusal(_LIMIT, f"DAG {dag_name!r} has reached its limit of {most} active runs")
    return None
