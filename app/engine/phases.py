"""From one phase of a run to the next: preconditions, init handler, steps, outcome handler, exit handler."""

from __future__ import annotations

from app.engine import rules, steps, stopping
from app.engine.action import CheckConditions, CloseRun
from app.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS, ConditionsChecked
from app.engine.state import NodeState, Phase
from app.engine.status import NodeStatus, RunStatus
from app.engine.turn import Turn

DEADLOCK = "the steps that are left wait for each other"


def begin(turn: Turn, problem: str) -> None:
    """Set the run going, or fail it without any step or handler when something that it needs is missing."""
    if problem:
        turn.blame(None, problem)
        failed = RunStatus.FAILED
        turn.change(status=failed, outcome=failed, phase=Phase.CLOSED, started_at=turn.now, finished_at=turn.now)
        turn.order(CloseRun(status=failed))
        return
    turn.began = True
    turn.change(status=RunStatus.RUNNING, started_at=turn.now, phase=Phase.PRECONDITIONS)
    if turn.plan.dag.preconditions:
        turn.order(CheckConditions(key=None))
    else:
        turn.change(phase=Phase.INIT)


def check_conditions(turn: Turn, event: ConditionsChecked) -> None:
    """Go on to the init handler, or give the run up without an error when a precondition does not hold."""
    turn.change(conditions=event.errors, phase=Phase.INIT)
    if event.problem:
        turn.blame(None, event.problem)
    if event.problem or any(event.errors):
        turn.change(cancelled=True)


def proceed(turn: Turn) -> None:
    """Move through the phases as far as nothing has to be waited for."""
    while _move(turn):
        pass


def _move(turn: Turn) -> bool:
    match turn.run.phase:
        case Phase.PRECONDITIONS:
            return _leave_preconditions(turn)
        case Phase.INIT:
            return _leave_init(turn)
        case Phase.STEPS:
            return _leave_steps(turn)
        case Phase.OUTCOME:
            return _leave_outcome(turn)
        case Phase.EXIT:
            return _leave_exit(turn)
    return False


def _leave_preconditions(turn: Turn) -> bool:
    if turn.run.cancelled or turn.run.timed_out:
        conclude(turn)
        return True
    return False


def _leave_init(turn: Turn) -> bool:
    if not turn.run.cancelled and _handled(turn, INIT):
        turn.change(phase=Phase.STEPS)
        steps.open_steps(turn)
        stopping.limit_run(turn)
        return True
    if turn.run.cancelled and not turn.running:
        conclude(turn)
        return True
    return False


def _leave_steps(turn: Turn) -> bool:
    steps.pick(turn)  # nothing is ready in a cancelled run
    if turn.running or turn.ready:
        return False
    if _is_deadlocked(turn):
        turn.blame(None, DEADLOCK)
    conclude(turn)
    return True


def _is_deadlocked(turn: Turn) -> bool:
    if turn.run.cancelled or turn.run.only is not None:
        return False
    return any(node.status is NodeStatus.NOT_STARTED for node in turn.steps)


def conclude(turn: Turn) -> None:
    """Compute what the run ends with; handlers come next."""
    turn.ready = []
    turn.change(outcome=rules.final_status(turn.run, turn.steps), phase=Phase.OUTCOME, next_pick_at=None)


def _leave_outcome(turn: Turn) -> bool:
    # The first handler may have worsened the outcome; that does not call for a second one.
    given = next((key for key in (SUCCESS, FAILURE, ABORT) if _is_touched(turn.node(key))), None)
    key = given if given is not None else rules.outcome_handler(turn.run.outcome)
    if not _handled(turn, key):
        return False
    turn.change(phase=Phase.EXIT)
    return True


def _leave_exit(turn: Turn) -> bool:
    # A run with nothing to do must still be seen running: the database knows no way from begun to ended in one step.
    if turn.began or not _handled(turn, EXIT):
        return False
    outcome = turn.run.outcome or RunStatus.FAILED
    turn.change(status=outcome, phase=Phase.CLOSED, finished_at=turn.now)
    turn.order(CloseRun(status=outcome))
    return True


def _handled(turn: Turn, key: int) -> bool:
    """Begin a handler whose turn has come; tell whether nothing of it is left to wait for."""
    node = turn.node(key)
    if node is None:
        return True
    if node.status is NodeStatus.NOT_STARTED:
        steps.begin(turn, key)
        return False
    return node.status.is_final


def _is_touched(node: NodeState | None) -> bool:
    return node is not None and node.status is not NodeStatus.NOT_STARTED
