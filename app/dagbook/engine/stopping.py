"""Stop requests and time limits, and the escalation from signal to kill."""

from __future__ import annotations

from dagbook.engine import handlers, rules, steps, timers
from dagbook.engine.action import CloseRun, KillStep, SignalStep
from dagbook.engine.state import Kill, NodeState, Phase
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.engine.transition import Transition

TERM = "SIGTERM"


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
        if not timers.is_executing(node):
            _finish_wait(transition, key, node)
        elif node.kill is None and not timers.is_repeating(transition.plan, key):
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
        limit = timers.step_limit(transition.plan, key, node)
        if limit is not None and limit <= transition.now:
            # A step with a pending stop is ended by the stop, whatever its own time limit is.
            stopped = timers.is_stopping(transition.run) and not timers.is_repeating(transition.plan, key)
            kill(transition, key, node, Kill.STOP if stopped else Kill.STEP_TIMEOUT)
        if node.due_at is not None and node.due_at <= transition.now:
            steps.execute_again(transition, key, node)
    if timers.is_stopping(transition.run):
        _escalate(transition)


def limit_run(transition: Transition) -> None:
    """Stop all steps, started or not, once the run has reached its time limit.

    Steps that wait for a running one are finished by its end: it may fail because of a time limit of its own.
    """
    limit = timers.run_limit(transition.plan, transition.run)
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
    kill_time, next_signal = timers.kill_time(transition.plan, transition.run), timers.next_signal(transition.run)
    if kill_time is not None and kill_time <= transition.now:
        transition.set_run(killed_at=transition.now)
        for key, node in left:
            kill(transition, key, node, Kill.STOP)
    elif kill_time is not None and next_signal is not None and next_signal <= transition.now:
        transition.set_run(signalled_at=transition.now)
        for key, _ in left:
            if not timers.is_repeating(transition.plan, key):
                transition.emit(SignalStep(key=key, signal=TERM))


def _running(transition: Transition) -> list[tuple[int, NodeState]]:
    found = ((key, transition.running_node(key)) for key in transition.running)
    return [(key, node) for key, node in found if node is not None]


def kill(transition: Transition, key: int, node: NodeState, reason: Kill) -> None:
    """Kill an execution; the node finishes when its processes are gone."""
    transition.set_node(key, node, kill=reason)
    transition.emit(KillStep(key=key))


def _kill_or_finish(transition: Transition, key: int, node: NodeState, reason: Kill) -> None:
    if not timers.is_executing(node):
        _finish_wait(transition, key, node, keep_result=reason is Kill.STOP)
    elif node.kill is None:
        kill(transition, key, node, reason)


def _finish_wait(transition: Transition, key: int, node: NodeState, *, keep_result: bool = True) -> None:
    """Finish a node that waits or whose conditions are being checked: a repetition keeps its last result."""
    if node.checking:
        transition.emit(KillStep(key=key))  # the condition may be a command
    if key < 0:
        handlers.finish(transition, key, NodeStatus.ABORTED)
    elif keep_result:
        steps.finish_by_verdict(transition, key, node)
    else:
        steps.finish(transition, key, NodeStatus.ABORTED, error=node.error or rules.RUN_LIMIT_REACHED)
