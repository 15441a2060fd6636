"""The rules of runtime sections 4 to 6, 8, 15 and 16: readiness, tolerance, retry, repetition, outcome.

Also the reason of an end that no step explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from dagbook.engine.event import ABORT, FAILURE, INIT, SUCCESS, StepExited
from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import BAD_ENDS, NodeStatus, RunStatus
from dagbook.spec.expansion.conditions import ANOTHER_UNMET, UNMET
from dagbook.spec.model import Repeat, Step

TIMEOUT_EXIT_CODE = 124
UPSTREAM_FAILED = "not run: a step it depends on failed"
RUN_LIMIT_REACHED = "the time limit of the run was reached"
UPSTREAM_SKIPPED = "not run: a step it depends on was skipped"
_GOOD = frozenset({NodeStatus.SUCCEEDED, NodeStatus.PARTIALLY_SUCCEEDED})
_ENDED_WELL = _GOOD | {NodeStatus.SKIPPED}
_NOT_RUN = frozenset({NodeStatus.ABORTED, NodeStatus.NOT_STARTED})
# Back-off grows without bound; a longer wait would overflow datetime.
_LONGEST_WAIT_SECONDS = 365 * 24 * 3600.0
_LONGEST_ERROR = 1000  # characters


class Blocked(msgspec.Struct, frozen=True):
    """The result of a step that never runs because of its dependencies."""

    status: NodeStatus
    error: str


def is_satisfied(step: Step, node: NodeState) -> bool:
    """Whether a dependency finished in a way that lets its dependents run."""
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

    Iterates from the back: steps tend to finish in file order, so a wide join finds an open dependency at once.
    """
    return all(is_satisfied(steps[key], nodes[key]) for key in reversed(dependencies))


def blocked_status(steps: Sequence[Step], dependencies: tuple[int, ...], nodes: Sequence[NodeState]) -> Blocked | None:
    """Return the result of a step that cannot run; the last listed dependency that ended badly decides.

    One that was aborted leaves the reason to one that failed.
    """
    ended = [
        nodes[key].status
        for key in reversed(dependencies)
        if nodes[key].status.is_final and not is_satisfied(steps[key], nodes[key])
    ]
    if ended[:1] == [NodeStatus.ABORTED] and NodeStatus.FAILED in ended:
        ended = [NodeStatus.FAILED]
    match ended[:1]:
        case []:
            return None
        case [NodeStatus.FAILED]:
            return Blocked(NodeStatus.ABORTED, UPSTREAM_FAILED)
        case [NodeStatus.SKIPPED]:
            return Blocked(NodeStatus.SKIPPED, UPSTREAM_SKIPPED)
    return Blocked(NodeStatus.ABORTED, "")


def is_success(exited: StepExited) -> bool:
    """Whether an execution succeeded; exit code 0 with an error means that something around the command failed."""
    return exited.prepared and exited.exit_code == 0 and not exited.error


def failure_text(exited: StepExited) -> str:
    """Return the error of a failed execution, never empty."""
    return exited.error or f"exit status {exited.exit_code}"


def retry_wait(step: Step, node: NodeState, code: int) -> timedelta | None:
    """Return the pause before the next retry, or None if the failure is final."""
    policy = step.retry
    if policy is None:
        return None
    limit = node.retry_limit if node.retry_limit is not None else policy.limit
    interval = node.retry_interval_seconds if node.retry_interval_seconds is not None else policy.interval_seconds
    if isinstance(limit, str) or isinstance(interval, str):
        return None  # the texts were never evaluated
    matches = code in policy.exit_codes if policy.exit_codes else code != 0
    if node.retry_count >= limit or not matches:
        return None
    return _wait(interval, policy.backoff, node.retry_count, policy.max_interval_seconds)


def repeats(policy: Repeat, node: NodeState, *, succeeded: bool) -> bool | None:
    """Whether a step is executed once more; None if the repeat condition has to be evaluated first."""
    if 0 < policy.limit <= node.done_count:
        return False
    if policy.condition is not None:
        return None
    holds = node.exit_code in policy.exit_codes if policy.exit_codes else succeeded
    return holds if policy.mode == "while" else not holds


def repeats_when(policy: Repeat, *, met: bool | None) -> bool:
    """Whether a step is executed once more, given its condition; a failed evaluation counts as not met."""
    return bool(met) if policy.mode == "while" else not met


def repeat_wait(policy: Repeat, done_count: int) -> timedelta:
    """Return the pause before the next repetition; back-off applies to the first one too (runtime 30, row 33)."""
    return _wait(policy.interval_seconds, policy.backoff, done_count, policy.max_interval_seconds)


def _wait(interval: int, backoff: float, exponent: int, cap: int) -> timedelta:
    seconds = min(max(interval, 0), _LONGEST_WAIT_SECONDS)
    if backoff > 0:
        try:
            factor = backoff**exponent
        except OverflowError:
            factor = _LONGEST_WAIT_SECONDS
        seconds *= factor
        seconds = min(seconds, cap) if cap > 0 else seconds
    return timedelta(seconds=min(seconds, _LONGEST_WAIT_SECONDS))


def final_status(run: RunState, nodes: Sequence[NodeState]) -> RunStatus:
    """Compute the status of a run whose steps are finished (runtime 5, with rows 9 and 11 of 30).

    The nodes are a separate argument because those in ``run`` may be outdated within a transition.
    """
    statuses = {node.status for node in nodes}
    # Without a stop request a precondition or the init handler ended the run: aborted, if it has steps.
    if run.cancelled and nodes and (run.stop_asked_at is None or not statuses <= _ENDED_WELL):
        return RunStatus.ABORTED
    if run.timed_out or any(node.status is NodeStatus.FAILED and not node.tolerated for node in nodes):
        return RunStatus.FAILED
    # The retry of one step: the steps that had not run before have still not run.
    if run.status_before is not None and statuses & _NOT_RUN:
        return run.status_before
    imperfect = statuses & {NodeStatus.FAILED, NodeStatus.PARTIALLY_SUCCEEDED}
    if imperfect and statuses & _GOOD:
        return RunStatus.PARTIALLY_SUCCEEDED
    return RunStatus.FAILED if imperfect or run.error else RunStatus.SUCCEEDED


def own_error(status: RunStatus, error: str, error_key: int | None, conditions: Sequence[str]) -> str:
    """Return why a run failed or was aborted if no step is the reason, in at most 1,000 characters; else empty.

    ``error`` and ``error_key`` are the last error that counts against the run and its node, ``conditions`` the results
    of the run's preconditions. The init handler is named, because no step ran then.
    """
    if status not in BAD_ENDS:
        return ""
    unmet = "; ".join(text.removeprefix(UNMET) for text in conditions if text not in ("", ANOTHER_UNMET))
    if error and error_key is None:
        text = error.strip()
    elif error_key == INIT:
        text = f"the init handler failed: {error.strip()}"
    else:
        text = f"a precondition of the run was not met: {unmet}" if unmet else ""
    return text if len(text) <= _LONGEST_ERROR else f"{text[: _LONGEST_ERROR - 1]}…"


def outcome_handler(outcome: RunStatus | None) -> int:
    """Return the key of the handler for this outcome."""
    match outcome:
        case RunStatus.SUCCEEDED | RunStatus.PARTIALLY_SUCCEEDED:
            return SUCCESS
        case RunStatus.ABORTED:
            return ABORT
    return FAILURE


def downgraded(outcome: RunStatus | None) -> RunStatus | None:
    """Return the outcome after a handler failed: only a full success is downgraded."""
    return RunStatus.FAILED if outcome is RunStatus.SUCCEEDED else outcome
