"""Timers: the instants at which a run needs a ``TimerFired``, computed from its state alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from dagbook.engine.plan import Plan
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus

SIGNAL_EVERY = timedelta(seconds=5)
_STOPPABLE = (Phase.INIT, Phase.STEPS)


def due(plan: Plan, state: RunState) -> datetime | None:
    """Return the next instant at which ``TimerFired`` must be delivered; it may be in the past."""
    if state.phase in (Phase.NEW, Phase.CLOSED):
        return None
    return min(_instants(plan, state), default=None)


def is_executing(node: NodeState) -> bool:
    """Whether an execution of the node has been ordered and has not finished."""
    return node.status is NodeStatus.RUNNING and node.execution > 0 and not node.checking and node.due_at is None


def is_repeating(plan: Plan, key: int) -> bool:
    """Whether a step may finish its execution after a stop request; a handler's repeat policy is ignored."""
    return key >= 0 and plan.step(key).repeat is not None


def is_stopping(run: RunState) -> bool:
    """Whether steps or the init handler are being stopped because of a stop request."""
    return run.cancelled and run.stop_asked_at is not None and run.phase in _STOPPABLE


def step_limit(plan: Plan, key: int, node: NodeState) -> datetime | None:
    """Return the time limit of the current execution."""
    seconds = plan.step(key).timeout_seconds
    if seconds <= 0 or node.executed_at is None or node.kill is not None or not is_executing(node):
        return None
    return node.executed_at + timedelta(seconds=seconds)


def run_limit(plan: Plan, run: RunState) -> datetime | None:
    """Return the time limit of the run; it does not apply to handlers, and a stop has a limit of its own.

    While only approvals are waited for, it stands still.
    """
    seconds = plan.dag.timeout_seconds
    if seconds <= 0 or run.started_at is None or run.timed_out or run.cancelled or run.rested_at is not None:
        return None
    limited = run.phase in (Phase.PRECONDITIONS, Phase.STEPS)
    return run.started_at + timedelta(seconds=seconds + run.rested_seconds) if limited else None


def next_signal(run: RunState) -> datetime | None:
    """Return when the stop signal is sent again."""
    return run.signalled_at + SIGNAL_EVERY if run.signalled_at is not None else None


def kill_time(plan: Plan, run: RunState) -> datetime | None:
    """Return when a stop escalates to a kill."""
    if run.stop_asked_at is None or run.killed_at is not None:
        return None
    return run.stop_asked_at + timedelta(seconds=max(plan.dag.max_clean_up_seconds, 0))


def _instants(plan: Plan, state: RunState) -> Iterator[datetime]:
    # A run that had nothing to do when it started only has to be closed: at a past time, so at once.
    close_time = state.started_at if state.phase is Phase.EXIT and not state.running else None
    candidates = [_next_start_time(plan, state), close_time, run_limit(plan, state)]
    nodes = [(key, state.handlers[key] if key < 0 else state.steps[key]) for key in state.running]
    for key, node in nodes:
        candidates += [node.due_at, step_limit(plan, key, node)]
    if is_stopping(state):
        left = [key for key, node in nodes if is_executing(node) and node.kill is None]
        candidates.append(kill_time(plan, state) if left else None)
        soft = any(not is_repeating(plan, key) for key in left) and state.killed_at is None
        candidates.append(next_signal(state) if soft else None)
    return (instant for instant in candidates if instant is not None)


def _next_start_time(plan: Plan, state: RunState) -> datetime | None:
    """Return when the next ready step may start; at once, if only an adoption delayed it."""
    limit = plan.dag.max_active_steps
    full = 0 < limit <= plan.count_working(state.running)
    if state.phase is not Phase.STEPS or state.cancelled or full or not state.ready:
        return None
    return state.next_pick_at or state.started_at
