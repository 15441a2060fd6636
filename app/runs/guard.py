"""Whether a new run may be started now. Pure."""

from __future__ import annotations

from app.db.repositories.transitions import Activity, NewRun
from app.runs.recorder import Refusal


def guard(run: NewRun, used: bool, activity: Activity) -> Refusal | None:
    """Say why a run must not be started now, in the order that clients rely on (api-behaviour 3.4)."""
    if used:
        return Refusal("already_exists", f"run {run.run_id!r} of DAG {run.dag_name!r} exists already")
    if activity.live and (run.singleton or run.max_active_runs == 1):
        return Refusal("max_run_reached", f"DAG {run.dag_name!r} is running already and allows one run at a time")
    if 0 < run.max_active_runs <= activity.live + activity.queued:
        return Refusal(
            "max_run_reached", f"DAG {run.dag_name!r} has reached its limit of {run.max_active_runs} active runs"
        )
    return None
