"""The life of a handler: one execution, no retry, no repetition; its failure is the run's."""

from __future__ import annotations

from app.engine import rules, steps
from app.engine.event import INIT, ConditionsChecked, StepExited
from app.engine.state import Kill, NodeState
from app.engine.status import NodeStatus
from app.engine.turn import Turn


def check_conditions(turn: Turn, node: NodeState, event: ConditionsChecked, key: int) -> None:
    """Execute a handler whose preconditions hold; skipping it means nothing to the run."""
    if not steps.execute_checked(turn, node, event, key):
        settle(turn, key, NodeStatus.SKIPPED, conditions=event.errors, error=event.problem)


def exit_handler(turn: Turn, node: NodeState, event: StepExited) -> None:
    """Settle a handler; the run suffers from a failed command, not from files that could not be opened."""
    stopped = node.kill is Kill.STOP or (event.key == INIT and turn.run.cancelled and node.kill is None)
    if stopped:
        settle(turn, event.key, NodeStatus.ABORTED, exit_code=event.exit_code, error=event.error)
    elif node.kill is not None or steps.is_late(turn, node, event):
        error = steps.timeout_text(turn, node, event.key)
        settle(turn, event.key, NodeStatus.FAILED, exit_code=rules.TIMEOUT_EXIT_CODE, error=error)
        _blame(turn, event.key, error)
    elif rules.went_well(event):
        status = NodeStatus.PARTIALLY_SUCCEEDED if event.partial else NodeStatus.SUCCEEDED
        settle(turn, event.key, status, exit_code=event.exit_code)
    else:
        error = rules.failure_text(event)
        settle(turn, event.key, NodeStatus.FAILED, exit_code=event.exit_code, error=error)
        if event.prepared:
            _blame(turn, event.key, error)


def settle(turn: Turn, key: int, status: NodeStatus, **fields: object) -> None:
    """End a running handler."""
    node = turn.handlers[key]
    turn.put(key, node, status=status, finished_at=turn.time(node), checking=False, kill=None, **fields)


def _blame(turn: Turn, key: int, error: str) -> None:
    turn.blame(key, error)
    if key == INIT:
        turn.change(cancelled=True)
    else:
        turn.change(outcome=rules.worsened(turn.run.outcome))
