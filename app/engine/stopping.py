"""Ends that are not a step's own: stop requests, time limits, and the escalation from signal to kill."""

from __future__ import annotations

from app.engine import handlers, outlook, rules, steps
from app.engine.action import CloseRun, KillStep, SignalStep
from app.engine.state import Kill, NodeState, Phase
from app.engine.status import NodeStatus, RunStatus
from app.engine.turn import Turn

TERM = "SIGTERM"


def ask_stop(turn: Turn, *, at_once: bool = False) -> None:
    """Take a stop request; what it does depends on how far the run has come."""
    match turn.run.phase:
        case Phase.NEW:
            _close_unbegun(turn)
        case Phase.PRECONDITIONS | Phase.INIT | Phase.STEPS:
            if not turn.run.cancelled:
                _cancel(turn)
            if at_once:
                _kill_all(turn)
        case Phase.OUTCOME | Phase.EXIT:
            _stop_handler(turn, at_once=at_once)


def _close_unbegun(turn: Turn) -> None:
    aborted = RunStatus.ABORTED
    turn.change(cancelled=True, stop_asked_at=turn.now, outcome=aborted, status=aborted, phase=Phase.CLOSED)
    turn.change(finished_at=turn.now)
    turn.order(CloseRun(status=aborted))


def _cancel(turn: Turn) -> None:
    turn.change(cancelled=True, stop_asked_at=turn.now, signalled_at=turn.now)
    turn.ready = []
    for key, node in _running(turn):
        if not outlook.is_executing(node):
            _end_wait(turn, key, node)
        elif node.kill is None and not outlook.is_repeating(turn.plan, key):
            signal_softly(turn, key)


def _stop_handler(turn: Turn, *, at_once: bool) -> None:
    """Only a second request ends a handler: the first was answered by running it."""
    if turn.run.stop_asked_at is None:
        turn.change(stop_asked_at=turn.now)
        if not at_once:
            return
    _kill_all(turn)


def _kill_all(turn: Turn) -> None:
    for key, node in _running(turn):
        _kill_or_end(turn, key, node, Kill.STOP)


def signal_softly(turn: Turn, key: int) -> None:
    """Send the first signal of a stop."""
    turn.order(SignalStep(key=key, signal=turn.plan.step(key).signal_on_stop or TERM))


def come(turn: Turn) -> None:
    """Do whatever is due by now."""
    limit_run(turn)
    for key, node in _running(turn):
        _limit_step(turn, key, node)
        if node.due_at is not None and node.due_at <= turn.now:
            steps.execute_again(turn, key, node)
    if outlook.is_stopping(turn.run):
        _escalate(turn)


def limit_run(turn: Turn) -> None:
    """End all steps, begun or not, once the run has used up its time.

    Those that wait for a running one are settled by its end, as ever: it may fail for a limit of its own.
    """
    limit = outlook.run_limit(turn.plan, turn.run)
    if limit is None or limit > turn.now:
        return
    turn.change(timed_out=True)
    if not turn.run.error:
        turn.blame(None, rules.RUN_LIMIT_REACHED)
    if turn.run.phase is Phase.PRECONDITIONS:
        steps.open_steps(turn)
    steps.drop_ready(turn)
    for key, node in _running(turn):
        _kill_or_end(turn, key, node, Kill.RUN_TIMEOUT)


def _limit_step(turn: Turn, key: int, node: NodeState) -> None:
    limit = outlook.step_limit(turn.plan, key, node)
    if limit is not None and limit <= turn.now:
        # A step that was asked to stop is ended by the stop, whatever its own limit says.
        stopped = outlook.is_stopping(turn.run) and not outlook.is_repeating(turn.plan, key)
        kill(turn, key, node, Kill.STOP if stopped else Kill.STEP_TIMEOUT)


def _escalate(turn: Turn) -> None:
    left = [(key, node) for key, node in _running(turn) if node.kill is None]
    kill_time, next_signal = outlook.kill_time(turn.plan, turn.run), outlook.next_signal(turn.run)
    if kill_time is not None and kill_time <= turn.now:
        turn.change(killed_at=turn.now)
        for key, node in left:
            kill(turn, key, node, Kill.STOP)
    elif kill_time is not None and next_signal is not None and next_signal <= turn.now:
        turn.change(signalled_at=turn.now)
        for key, _ in left:
            if not outlook.is_repeating(turn.plan, key):
                turn.order(SignalStep(key=key, signal=TERM))


def _running(turn: Turn) -> list[tuple[int, NodeState]]:
    found = ((key, turn.running_node(key)) for key in turn.running)
    return [(key, node) for key, node in found if node is not None]


def kill(turn: Turn, key: int, node: NodeState, reason: Kill) -> None:
    """Order the end of an execution; the node is settled when its processes are gone."""
    turn.put(key, node, kill=reason)
    turn.order(KillStep(key=key))


def _kill_or_end(turn: Turn, key: int, node: NodeState, reason: Kill) -> None:
    if not outlook.is_executing(node):
        _end_wait(turn, key, node, keep_result=reason is Kill.STOP)
    elif node.kill is None:
        kill(turn, key, node, reason)


def _end_wait(turn: Turn, key: int, node: NodeState, *, keep_result: bool = True) -> None:
    """Settle a node that waits or whose conditions are looked at: a repetition keeps its last result."""
    if node.checking:
        turn.order(KillStep(key=key))  # the condition may be a command
    if key < 0:
        handlers.settle(turn, key, NodeStatus.ABORTED)
    elif keep_result:
        steps.settle_by_verdict(turn, key, node)
    else:
        steps.settle(turn, key, NodeStatus.ABORTED, error=node.error or rules.RUN_LIMIT_REACHED)
