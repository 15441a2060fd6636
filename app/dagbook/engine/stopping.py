"""Timers, stop requests and time limits: what is due when, and the escalation from signal to kill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from dagbook.engine import rules, steps
from dagbook.engine.action import CloseRun, KillStep, SignalStep
from dagbook.engine.plan import Plan, node_of
from dagbook.engine.state import Kill, NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.engine.transition import Transition

TERM = "SIGTERM"
_SIGNAL_EVERY = timedelta(seconds=5)
_STOPPABLE = (Phase.INIT, Phase.STEPS)

# -- timers: the instants at which a run needs a ``TimerFired``, computed from its state alone ------------------------


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
    return run.signalled_at + _SIGNAL_EVERY if run.signalled_at is not None else None


def kill_time(plan: Plan, run: RunState) -> datetime | None:
    """Return when a stop escalates to a kill."""
    if run.stop_asked_at is None or run.killed_at is not None:
        return None
    return run.stop_asked_at + timedelta(seconds=max(plan.dag.max_clean_up_seconds, 0))


def _instants(plan: Plan, state: RunState) -> Iterator[datetime]:
    # A run that had nothing to do when it started only has to be closed: at a past time, so at once.
    close_time = state.started_at if state.phase is Phase.EXIT and not state.running else None
    candidates = [_next_start_time(plan, state), close_time, run_limit(plan, state)]
    nodes = [(key, node_of(state, key)) for key in state.running]
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


# -- stops and time limits --------------------------------------------------------------------------------------------


def request_stop(transition: Transition, *, at_once: bool = False) -> None:
    """Handle a stop request; its effect depends on the phase."""
    match transition.run.phase:
        case Phase.NEW:
            aborted = RunStatus.ABORTED
            transition.set_run(cancelled=True, stop_asked_at=transition.now, finished_at=transition.now)
            transition.set_run(outcome=aborted, status=aborted, phase=Phase.CLOSED)
            transition.emit(CloseRun(status=aborted))
        case Phase.PRECONDITIONS | Phase.INIT | Phase.STEPS:
            if not transition.run.cancelled:
                _cancel(transition)
            if at_once:
                _kill_all(transition)
        case Phase.OUTCOME | Phase.EXIT:
            # Only a second request stops a handler: the first one started it.
            is_first = transition.run.stop_asked_at is None
            if is_first:
                transition.set_run(stop_asked_at=transition.now)
            if at_once or not is_first:
                _kill_all(transition)


def _cancel(transition: Transition) -> None:
    transition.set_run(cancelled=True, stop_asked_at=transition.now, signalled_at=transition.now)
    transition.ready = []
    for key, node in _running(transition):
        if not is_executing(node):
            _finish_wait(transition, key, node)
        elif node.kill is None and not is_repeating(transition.plan, key):
            send_stop_signal(transition, key)


def _kill_all(transition: Transition) -> None:
    for key, node in _running(transition):
        _kill_or_finish(transition, key, node, Kill.STOP)


def send_stop_signal(transition: Transition, key: int) -> None:
    transition.emit(SignalStep(key=key, signal=transition.plan.step(key).signal_on_stop or TERM))


def on_timer(transition: Transition) -> None:
    """Handle everything that is due by now."""
    limit_run(transition)
    for key, node in _running(transition):
        limit = step_limit(transition.plan, key, node)
        if limit is not None and limit <= transition.now:
            # A step with a pending stop is ended by the stop, whatever its own time limit is.
            stopped = is_stopping(transition.run) and not is_repeating(transition.plan, key)
            kill(transition, key, node, Kill.STOP if stopped else Kill.STEP_TIMEOUT)
        if node.due_at is not None and node.due_at <= transition.now:
            steps.execute_again(transition, key, node)
    if is_stopping(transition.run):
        _escalate(transition)


def limit_run(transition: Transition) -> None:
    """Stop all steps, started or not, once the run has reached its time limit.

    Steps that wait for a running one are finished by its end: it may fail because of a time limit of its own.
    """
    limit = run_limit(transition.plan, transition.run)
    if limit is None or limit > transition.now:
        return
    transition.set_run(timed_out=True)
    if not transition.run.error:
        transition.set_error(None, rules.RUN_LIMIT_REACHED)
    if transition.run.phase is Phase.PRECONDITIONS:
        steps.init_ready(transition)
    steps.abort_ready(transition)
    for key, node in _running(transition):
        _kill_or_finish(transition, key, node, Kill.RUN_TIMEOUT)


def _escalate(transition: Transition) -> None:
    left = [(key, node) for key, node in _running(transition) if node.kill is None]
    kill_at, signal_at = kill_time(transition.plan, transition.run), next_signal(transition.run)
    if kill_at is not None and kill_at <= transition.now:
        transition.set_run(killed_at=transition.now)
        for key, node in left:
            kill(transition, key, node, Kill.STOP)
    elif kill_at is not None and signal_at is not None and signal_at <= transition.now:
        transition.set_run(signalled_at=transition.now)
        for key, _ in left:
            if not is_repeating(transition.plan, key):
                transition.emit(SignalStep(key=key, signal=TERM))


def _running(transition: Transition) -> list[tuple[int, NodeState]]:
    found = ((key, transition.running_node(key)) for key in transition.running)
    return [(key, node) for key, node in found if node is not None]


def kill(transition: Transition, key: int, node: NodeState, reason: Kill) -> None:
    """Kill an execution; the node finishes when its processes are gone."""
    transition.set_node(key, node, kill=reason)
    transition.emit(KillStep(key=key))


def _kill_or_finish(transition: Transition, key: int, node: NodeState, reason: Kill) -> None:
    if not is_executing(node):
        _finish_wait(transition, key, node, keep_result=reason is Kill.STOP)
    elif node.kill is None:
        kill(transition, key, node, reason)


def _finish_wait(transition: Transition, key: int, node: NodeState, *, keep_result: bool = True) -> None:
    """Finish a node that waits or whose conditions are being checked: a repetition keeps its last result."""
    if node.checking:
        transition.emit(KillStep(key=key))  # the condition may be a command
    if key < 0:
        steps.finish_handler(transition, key, NodeStatus.ABORTED)
    elif keep_result:
        steps.finish_by_verdict(transition, key, node)
    else:
        steps.finish(transition, key, NodeStatus.ABORTED, error=node.error or rules.RUN_LIMIT_REACHED)
