"""Phase transitions: preconditions, init handler, steps, outcome handler, exit handler."""

from __future__ import annotations

from dagbook.engine import rules, steps, stopping
from dagbook.engine.action import CheckConditions, CloseRun
from dagbook.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS, WAIT, ConditionsChecked
from dagbook.engine.state import NodeState, Phase
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.engine.transition import Transition

DEADLOCK = "the remaining steps wait for each other"


def start(transition: Transition, problem: str) -> None:
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


def check_conditions(transition: Transition, event: ConditionsChecked) -> None:
    """Continue with the init handler, or end the run without an error if a precondition is not met."""
    transition.set_run(conditions=event.errors, phase=Phase.INIT)
    if event.problem:
        transition.set_error(None, event.problem)
    if event.problem or any(event.errors):
        transition.set_run(cancelled=True)


def proceed(transition: Transition) -> None:
    """Move through the phases until something has to be waited for."""
    while _next_phase(transition):
        pass


def _next_phase(transition: Transition) -> bool:
    match transition.run.phase:
        case Phase.PRECONDITIONS:
            is_over = transition.run.cancelled or transition.run.timed_out
            if is_over:
                conclude(transition)
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
        conclude(transition)
        return True
    return False


def _leave_steps(transition: Transition) -> bool:
    steps.start_ready(transition)  # nothing is ready in a cancelled run
    _rest_or_go_on(transition)
    if transition.running or transition.ready:
        return False
    is_whole_run = not transition.run.cancelled and transition.run.only is None
    if is_whole_run and any(node.status is NodeStatus.NOT_STARTED for node in transition.steps):
        transition.set_error(None, DEADLOCK)
    conclude(transition)
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


def conclude(transition: Transition) -> None:
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
