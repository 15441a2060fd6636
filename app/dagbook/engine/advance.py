"""``advance``, the transition function of a run: (state, event) -> (state, actions).

An event is applied first; then the run moves through its phases until something has to be waited for.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from dagbook.engine import rules, steps, stopping
from dagbook.engine.action import Action, AdoptStep, CheckConditions, CheckRepeat, CloseRun, KillStep, SignalStep
from dagbook.engine.event import (
    ABORT,
    EXIT,
    FAILURE,
    INIT,
    SUCCESS,
    WAIT,
    ConditionsChecked,
    Event,
    ExecutionStarted,
    RepeatChecked,
    RetryPlanned,
    RunStarted,
    StepExited,
    StopRequested,
    TimerFired,
)
from dagbook.engine.plan import Plan, node_of, running_keys
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.engine.stopping import due, is_executing, is_repeating, is_stopping
from dagbook.engine.transition import Transition

__all__ = ["advance", "due", "resume"]
_DEADLOCK = "the remaining steps wait for each other"


def advance(plan: Plan, state: RunState, event: Event, now: datetime) -> tuple[RunState, tuple[Action, ...]]:
    """Return the state after an event and the actions that follow from it.

    Total and deterministic: an event that is late, repeated or about an unknown node leaves the same state object and
    emits nothing. Each action is emitted once; ``resume`` emits the outstanding ones again.
    """
    transition = Transition(plan, state, now)
    _apply(transition, event)
    _proceed(transition)
    return transition.state() if transition.changed else state, tuple(transition.actions)


def resume(plan: Plan, state: RunState) -> tuple[Action, ...]:
    """Return the outstanding actions of a run that another process started; its timers come from ``due``."""
    if state.phase is Phase.PRECONDITIONS:
        return (CheckConditions(key=None),)
    actions: list[Action] = []
    for key in running_keys(state):
        actions += _outstanding(plan, state, key, node_of(state, key))
    return tuple(actions)


def _outstanding(plan: Plan, state: RunState, key: int, node: NodeState) -> list[Action]:
    if node.checking:
        first = node.execution == 0 or key == WAIT  # which runs once for each rest, and is not repeated
        return [CheckConditions(key=key) if first else CheckRepeat(key=key, execution=node.execution)]
    if not is_executing(node):
        return []
    actions: list[Action] = [AdoptStep(key=key, execution=node.execution)]
    if node.kill is not None:
        actions.append(KillStep(key=key))
    elif is_stopping(state) and not is_repeating(plan, key):
        actions.append(SignalStep(key=key, signal=stopping.TERM))
    return actions


def _apply(transition: Transition, event: Event) -> None:
    """Apply an event, if it still concerns the current state."""
    match event:
        case RunStarted():
            if transition.run.phase is Phase.NEW:
                _start_run(transition, event.problem)
        case StopRequested():
            stopping.request_stop(transition, at_once=event.at_once)
        case TimerFired():
            stopping.on_timer(transition)
        case ConditionsChecked():
            _check_conditions(transition, event)
        case RetryPlanned():
            _plan_retry(transition, event)
        case ExecutionStarted():
            _start_execution(transition, event)
        case StepExited():
            _exit(transition, event)
        case RepeatChecked():
            steps.check_repeat(transition, event)
        case _ as never:
            assert_never(never)


def _check_conditions(transition: Transition, event: ConditionsChecked) -> None:
    if event.key is None:
        if transition.run.phase is Phase.PRECONDITIONS:
            _check_run_conditions(transition, event)
        return
    node = transition.running_node(event.key)
    if node is not None and node.checking and (node.execution == 0 or event.key == WAIT):
        check = steps.check_handler_conditions if event.key < 0 else steps.check_conditions
        check(transition, node, event, event.key)


def _plan_retry(transition: Transition, event: RetryPlanned) -> None:
    node = transition.running_node(event.key)
    if node is not None:
        transition.set_node(event.key, node, retry_limit=event.limit, retry_interval_seconds=event.interval_seconds)


def _start_execution(transition: Transition, event: ExecutionStarted) -> None:
    node = _execution(transition, event)
    if node is None or node.executed_at is not None:
        return
    transition.set_node(event.key, node, executed_at=transition.timestamp(node))
    # What was sent before the process existed had no effect.
    if node.kill is not None:
        transition.emit(KillStep(key=event.key))
    elif is_stopping(transition.run) and not is_repeating(transition.plan, event.key):
        stopping.send_stop_signal(transition, event.key)


def _exit(transition: Transition, event: StepExited) -> None:
    node = _execution(transition, event)
    if node is None:
        return
    if event.key < 0:
        steps.exit_handler(transition, node, event)
    else:
        steps.exit_step(transition, node, event)


def _execution(transition: Transition, event: ExecutionStarted | StepExited) -> NodeState | None:
    """Return the node if it is executing the execution of the event."""
    node = transition.running_node(event.key)
    return node if node is not None and node.execution == event.execution and is_executing(node) else None


# -- phases: preconditions, init handler, steps, outcome handler, exit handler ----------------------------------------


def _start_run(transition: Transition, problem: str) -> None:
    """Start the run, or fail it without any step or handler because of a problem."""
    if problem:
        transition.set_error(None, problem)
        failed = RunStatus.FAILED
        transition.set_run(
            status=failed, outcome=failed, phase=Phase.CLOSED, started_at=transition.now, finished_at=transition.now
        )
        transition.emit(CloseRun(status=failed))
        return
    transition.just_started = True
    transition.set_run(status=RunStatus.RUNNING, started_at=transition.now, phase=Phase.PRECONDITIONS)
    if transition.plan.dag.preconditions:
        transition.emit(CheckConditions(key=None))
    else:
        transition.set_run(phase=Phase.INIT)


def _check_run_conditions(transition: Transition, event: ConditionsChecked) -> None:
    """Continue with the init handler, or end the run without an error if a precondition is not met."""
    transition.set_run(conditions=event.errors, phase=Phase.INIT)
    if event.problem:
        transition.set_error(None, event.problem)
    if event.problem or any(event.errors):
        transition.set_run(cancelled=True)


def _proceed(transition: Transition) -> None:
    """Move through the phases until something has to be waited for."""
    while _next_phase(transition):
        pass


def _next_phase(transition: Transition) -> bool:
    match transition.run.phase:
        case Phase.PRECONDITIONS:
            is_over = transition.run.cancelled or transition.run.timed_out
            if is_over:
                _conclude(transition)
            return is_over
        case Phase.INIT:
            return _leave_init(transition)
        case Phase.STEPS:
            return _leave_steps(transition)
        case Phase.OUTCOME:
            return _leave_outcome(transition)
        case Phase.EXIT:
            return _leave_exit(transition)
    return False


def _leave_init(transition: Transition) -> bool:
    if not transition.run.cancelled and _is_handled(transition, INIT):
        transition.set_run(phase=Phase.STEPS)
        steps.init_ready(transition)
        stopping.limit_run(transition)
        return True
    if transition.run.cancelled and not transition.running:
        _conclude(transition)
        return True
    return False


def _leave_steps(transition: Transition) -> bool:
    steps.start_ready(transition)  # nothing is ready in a cancelled run
    _rest_or_go_on(transition)
    if transition.running or transition.ready:
        return False
    is_whole_run = not transition.run.cancelled and transition.run.only is None
    if is_whole_run and any(node.status is NodeStatus.NOT_STARTED for node in transition.steps):
        transition.set_error(None, _DEADLOCK)
    _conclude(transition)
    return True


def _rest_or_go_on(transition: Transition) -> None:
    """Begin or end the time in which nothing but approvals is left to wait for (1.30, 7.3)."""
    plan, run = transition.plan, transition.run
    if not plan.approvals:
        return
    left = [key for key in transition.running if key != WAIT]
    rests = bool(left) and not transition.ready and not run.cancelled
    rests = rests and all(plan.waits_for_approval(key, transition.steps[key]) for key in left)
    if rests and run.rested_at is None:
        transition.set_run(rested_at=transition.now)
        handler = transition.node(WAIT)
        if handler is not None and handler.status is not NodeStatus.RUNNING:
            transition.set_node(WAIT, NodeState(execution=handler.execution))
            steps.start(transition, WAIT)
    elif not rests and run.rested_at is not None:
        rested = (transition.now - run.rested_at).total_seconds()
        transition.set_run(rested_at=None, rested_seconds=run.rested_seconds + rested)


def _conclude(transition: Transition) -> None:
    """Compute the outcome of the run; handlers follow."""
    transition.ready = []
    transition.set_run(
        outcome=rules.final_status(transition.run, transition.steps), phase=Phase.OUTCOME, next_pick_at=None
    )


def _leave_outcome(transition: Transition) -> bool:
    # The first handler may have downgraded the outcome; that does not call for a second one.
    handlers = {key: transition.node(key) for key in (SUCCESS, FAILURE, ABORT)}
    started = [key for key, node in handlers.items() if node and node.status is not NodeStatus.NOT_STARTED]
    key = started[0] if started else rules.outcome_handler(transition.run.outcome)
    if not _is_handled(transition, key):
        return False
    transition.set_run(phase=Phase.EXIT)
    return True


def _leave_exit(transition: Transition) -> bool:
    # A run with nothing to do must be stored as running first: the database refuses not_started -> finished.
    if transition.just_started or not _is_handled(transition, EXIT):
        return False
    outcome = transition.run.outcome or RunStatus.FAILED
    transition.set_run(status=outcome, phase=Phase.CLOSED, finished_at=transition.now)
    transition.emit(CloseRun(status=outcome))
    return True


def _is_handled(transition: Transition, key: int) -> bool:
    """Start a handler that has not started; return whether it is finished or not defined."""
    node = transition.node(key)
    if node is None:
        return True
    if node.status is NodeStatus.NOT_STARTED:
        steps.start(transition, key)
        return False
    return node.status.is_final
