"""The decisions: readiness, tolerance, retry, repetition, handlers and the status a run ends with.

Every function answers one question of runtime sections 4 to 6, 8, 15 and 16 and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from app.engine.event import ABORT, FAILURE, SUCCESS, StepExited
from app.engine.state import NodeState, RunState
from app.engine.status import NodeStatus, RunStatus
from app.spec.model import Repeat, Step

TIMEOUT_EXIT_CODE = 124
UPSTREAM_FAILED = "not run: a step it depends on failed"
RUN_LIMIT_REACHED = "the time limit of the run was reached"
UPSTREAM_SKIPPED = "not run: a step it depends on was skipped"
_GOOD = frozenset({NodeStatus.SUCCEEDED, NodeStatus.PARTIALLY_SUCCEEDED})
_ENDED_WELL = _GOOD | {NodeStatus.SKIPPED}
_LEFT_UNDONE = frozenset({NodeStatus.ABORTED, NodeStatus.NOT_STARTED})
# Back-off grows without bound; a wait longer than this would only overflow the calendar.
_LONGEST_WAIT_SECONDS = 365 * 24 * 3600.0


class Block(msgspec.Struct, frozen=True):
    """How a step ends that is never run because of what it depends on."""

    status: NodeStatus
    error: str


def is_satisfied(step: Step, node: NodeState) -> bool:
    """Whether a dependency has ended in a way that lets its dependents run."""
    match node.status:
        case NodeStatus.SUCCEEDED | NodeStatus.PARTIALLY_SUCCEEDED:
            return True
        case NodeStatus.SKIPPED:
            return step.continue_on.skipped
        case NodeStatus.FAILED:
            return node.tolerated
    return False


def all_satisfied(steps: Sequence[Step], dependencies: tuple[int, ...], nodes: Sequence[NodeState]) -> bool:
    """Whether a step may run.

    Looks from the back: steps tend to end in file order, so a wide join finds an open dependency at once.
    """
    return all(is_satisfied(steps[key], nodes[key]) for key in reversed(dependencies))


def block(steps: Sequence[Step], dependencies: tuple[int, ...], nodes: Sequence[NodeState]) -> Block | None:
    """Tell how a step ends without running; the last listed dependency that ended badly decides."""
    for key in reversed(dependencies):
        node = nodes[key]
        if node.status.is_final and not is_satisfied(steps[key], node):
            return _BLOCKS[node.status]
    return None


_BLOCKS = {
    NodeStatus.FAILED: Block(NodeStatus.ABORTED, UPSTREAM_FAILED),
    NodeStatus.ABORTED: Block(NodeStatus.ABORTED, ""),
    NodeStatus.SKIPPED: Block(NodeStatus.SKIPPED, UPSTREAM_SKIPPED),
}


def went_well(exited: StepExited) -> bool:
    """Whether an execution did what it should; code 0 with an error is something around it that failed."""
    return exited.prepared and exited.exit_code == 0 and not exited.error


def failure_text(exited: StepExited) -> str:
    """Return the error of an execution that failed; there always is one."""
    return exited.error or f"exit status {exited.exit_code}"


def is_tolerated(step: Step, exit_code: int, *, output_matched: bool) -> bool:
    """Whether ``continueOn`` covers a failure with this exit code."""
    rule = step.continue_on
    return rule.failure or exit_code in rule.exit_codes or output_matched


def failure_status(step: Step, *, tolerated: bool) -> NodeStatus:
    """Tell what a final failure is called in the end: ``markSuccess`` turns a tolerated one into a success."""
    return NodeStatus.SUCCEEDED if tolerated and step.continue_on.mark_success else NodeStatus.FAILED


def retry_wait(step: Step, node: NodeState, code: int) -> timedelta | None:
    """Return the pause before the next retry, or None when the failure is final."""
    policy = step.retry
    if policy is None:
        return None
    limit = node.retry_limit if node.retry_limit is not None else policy.limit
    interval = node.retry_interval_seconds if node.retry_interval_seconds is not None else policy.interval_seconds
    if isinstance(limit, str) or isinstance(interval, str):
        return None  # nobody could say what the texts mean
    matches = code in policy.exit_codes if policy.exit_codes else code != 0
    if node.retry_count >= limit or not matches:
        return None
    return _wait(interval, policy.backoff, node.retry_count, policy.max_interval_seconds)


def repeats(policy: Repeat, node: NodeState, *, succeeded: bool) -> bool | None:
    """Tell whether a step is executed once more; None when the repeat condition has to be looked at first."""
    if 0 < policy.limit <= node.done_count:
        return False
    if policy.condition is not None:
        return None
    holds = node.exit_code in policy.exit_codes if policy.exit_codes else succeeded
    return holds if policy.mode == "while" else not holds


def repeats_when(policy: Repeat, *, met: bool | None) -> bool:
    """Tell whether a step is executed once more, given its condition; one that cannot be evaluated does not hold."""
    return bool(met) if policy.mode == "while" else not met


def repeat_wait(policy: Repeat, done_count: int) -> timedelta:
    """Return the pause before the next repetition; the first one is multiplied already (runtime 30, row 33)."""
    return _wait(policy.interval_seconds, policy.backoff, done_count, policy.max_interval_seconds)


def _wait(interval: int, backoff: float, exponent: int, cap: int) -> timedelta:
    seconds = min(max(interval, 0), _LONGEST_WAIT_SECONDS)
    if backoff > 0:
        seconds *= _power(backoff, exponent)
        seconds = min(seconds, cap) if cap > 0 else seconds
    return timedelta(seconds=min(seconds, _LONGEST_WAIT_SECONDS))


def _power(backoff: float, exponent: int) -> float:
    try:
        return backoff**exponent
    except OverflowError:
        return _LONGEST_WAIT_SECONDS


def final_status(run: RunState, nodes: Sequence[NodeState]) -> RunStatus:
    """Compute what a run ends with once its steps are settled (runtime 5, with rows 9 and 11 of 30).

    The nodes are told apart from the run because the run's own may be those of a moment ago.
    """
    statuses = {node.status for node in nodes}
    # Without a stop it was a precondition or the init handler that ended the run: aborted, if there were steps to keep
    # from running.
    if run.cancelled and nodes and (run.stop_asked_at is None or not statuses <= _ENDED_WELL):
        return RunStatus.ABORTED
    if run.timed_out or any(node.status is NodeStatus.FAILED and not node.tolerated for node in nodes):
        return RunStatus.FAILED
    # The retry of one step: what was left undone before is still undone.
    if run.status_before is not None and statuses & _LEFT_UNDONE:
        return run.status_before
    imperfect = statuses & {NodeStatus.FAILED, NodeStatus.PARTIALLY_SUCCEEDED}
    if imperfect and statuses & _GOOD:
        return RunStatus.PARTIALLY_SUCCEEDED
    return RunStatus.FAILED if imperfect or run.error else RunStatus.SUCCEEDED


def outcome_handler(outcome: RunStatus | None) -> int:
    """Return the key of the handler that answers to this outcome."""
    match outcome:
        case RunStatus.SUCCEEDED | RunStatus.PARTIALLY_SUCCEEDED:
            return SUCCESS
        case RunStatus.ABORTED:
            return ABORT
    return FAILURE


def worsened(outcome: RunStatus | None) -> RunStatus | None:
    """Return the outcome after a handler failed: only a plain success suffers from it."""
    return RunStatus.FAILED if outcome is RunStatus.SUCCEEDED else outcome
