"""Handler transitions: one execution, no retry, no repetition; a failed handler fails the run."""

from __future__ import annotations

from dagbook.engine import rules, steps
from dagbook.engine.event import INIT, WAIT, ConditionsChecked, StepExited
from dagbook.engine.state import Kill, NodeState
from dagbook.engine.status import NodeStatus
from dagbook.engine.transition import Transition


def check_conditions(transition: Transition, node: NodeState, event: ConditionsChecked, key: int) -> None:
    """Execute a handler whose preconditions are met; a skipped handler does not affect the run."""
    if not steps.execute_checked(transition, node, event, key):
        finish(transition, key, NodeStatus.SKIPPED, conditions=event.errors, error=event.problem)


def exit_handler(transition: Transition, node: NodeState, event: StepExited) -> None:
    """Finish a handler; a failed command fails the run, files that could not be opened do not."""
    is_before_outcome = event.key in (INIT, WAIT)
    stopped = node.kill is Kill.STOP or (is_before_outcome and transition.run.cancelled and node.kill is None)
    if stopped:
        finish(transition, event.key, NodeStatus.ABORTED, exit_code=event.exit_code, error=event.error)
    elif node.kill is not None or steps.is_late(transition, node, event):
        error = steps.timeout_text(transition, node, event.key)
        finish(transition, event.key, NodeStatus.FAILED, exit_code=rules.TIMEOUT_EXIT_CODE, error=error)
        _set_error(transition, event.key, error)
    elif rules.is_success(event):
        status = NodeStatus.PARTIALLY_SUCCEEDED if event.partial else NodeStatus.SUCCEEDED
        finish(transition, event.key, status, exit_code=event.exit_code)
    else:
        error = rules.failure_text(event)
        finish(transition, event.key, NodeStatus.FAILED, exit_code=event.exit_code, error=error)
        if event.prepared:
            _set_error(transition, event.key, error)


def finish(transition: Transition, key: int, status: NodeStatus, **fields: object) -> None:
    node = transition.handlers[key]
    transition.set_node(
        key, node, status=status, finished_at=transition.timestamp(node), checking=False, kill=None, **fields
    )


def _set_error(transition: Transition, key: int, error: str) -> None:
    if key == WAIT:  # without effect on the run (1.30, 7.2)
        return
    transition.set_error(key, error)
    if key == INIT:
        transition.set_run(cancelled=True)
    else:
        transition.set_run(outcome=rules.downgraded(transition.run.outcome))
