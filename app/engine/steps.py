"""The life of a step: begun, executed, retried, repeated, settled; and what its end means for its dependents."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Any

import msgspec

from app.engine import rules
from app.engine.action import CheckConditions, CheckRepeat, StartStep
from app.engine.event import ConditionsChecked, RepeatChecked, StepExited
from app.engine.state import Kill, NodeState
from app.engine.status import NodeStatus
from app.engine.turn import Turn
from app.spec.model import Repeat


def open_steps(turn: Turn) -> None:
    """Find the steps whose turn has come at the start, and settle those that what was kept already rules out."""
    only = turn.run.only
    for key in range(len(turn.steps)) if only is None else (only,):
        if _examine(turn, key) and only is None:
            _spread(turn, key)
    turn.ready = sorted(set(turn.ready))


def pick(turn: Turn) -> None:
    """Begin what is ready, first come first served, within the run's limits."""
    dag, taken = turn.plan.dag, 0
    while taken < len(turn.ready) and _may_pick(turn):
        begin(turn, turn.ready[taken])
        taken += 1
        if dag.delay_seconds > 0:
            turn.change(next_pick_at=turn.now + timedelta(seconds=dag.delay_seconds))
    turn.ready = turn.ready[taken:]


def drop_ready(turn: Turn) -> None:
    """Settle what would have begun now in a run that is out of time, and what depends on it."""
    waiting, turn.ready = turn.ready, []
    for key in waiting:
        turn.put(key, turn.steps[key], status=NodeStatus.ABORTED, error=rules.RUN_LIMIT_REACHED)
        if turn.run.only is None:
            _spread(turn, key)


def _may_pick(turn: Turn) -> bool:
    limit, pause = turn.plan.dag.max_active_steps, turn.run.next_pick_at
    return (limit <= 0 or len(turn.running) < limit) and (pause is None or pause <= turn.now)


def begin(turn: Turn, key: int) -> None:
    """Set a step or handler running: its preconditions come first, then its execution."""
    node = turn.steps[key] if key >= 0 else turn.handlers[key]
    if turn.plan.step(key).preconditions:
        turn.put(key, node, status=NodeStatus.RUNNING, started_at=turn.now, checking=True)
        turn.order(CheckConditions(key=key))
    else:
        turn.put(key, node, status=NodeStatus.RUNNING, started_at=turn.now, execution=1)
        turn.order(StartStep(key=key, execution=1))


def execute_checked(turn: Turn, node: NodeState, event: ConditionsChecked, key: int) -> bool:
    """Execute a node whose preconditions hold; a node whose do not is left for its caller to settle."""
    if event.problem or any(event.errors):
        return False
    turn.put(key, node, checking=False, execution=1, conditions=event.errors)
    turn.order(StartStep(key=key, execution=1))
    return True


def check_conditions(turn: Turn, node: NodeState, event: ConditionsChecked, key: int) -> None:
    """Execute a step whose preconditions hold, skip it otherwise."""
    if not execute_checked(turn, node, event, key):
        covered = turn.plan.step(key).continue_on.skipped
        settle(turn, key, NodeStatus.SKIPPED, conditions=event.errors, error=event.problem, tolerated=covered)


def execute_again(turn: Turn, key: int, node: NodeState) -> None:
    """Begin the retry or repetition that a node has waited for."""
    execution = node.execution + 1
    fresh = {"due_at": None, "executed_at": None, "exit_code": None, "error": "", "verdict": None, "tolerated": False}
    if node.verdict is None:
        turn.put(key, node, execution=execution, retried_at=turn.time(node), **fresh)
    else:
        turn.put(key, node, execution=execution, repeated=True, **fresh)
    turn.order(StartStep(key=key, execution=execution))


def exit_step(turn: Turn, node: NodeState, event: StepExited) -> None:
    """Decide what the end of an execution means: settled, tried again, or repeated."""
    if _is_aborted(turn, node, event):
        settle(turn, event.key, NodeStatus.ABORTED, exit_code=event.exit_code, error=event.error)
    elif not event.prepared:
        settle_by_verdict(turn, event.key, _fail(turn, node, event))
    elif node.kill is not None or is_late(turn, node, event):
        late = msgspec.structs.replace(
            event, exit_code=rules.TIMEOUT_EXIT_CODE, error=timeout_text(turn, node, event.key)
        )
        _fail(turn, node, late)
        _repeat_or_settle(turn, event.key, succeeded=False)
    elif rules.went_well(event):
        _succeed(turn, node, event)
    elif not _wait_for_retry(turn, node, event):
        _fail(turn, node, event)
        _repeat_or_settle(turn, event.key, succeeded=False)


def _is_aborted(turn: Turn, node: NodeState, event: StepExited) -> bool:
    """Tell whether an execution ended because it was made to.

    A limit of its own outranks the run's; a repeating step may finish what it does when a stop is asked.
    """
    step = turn.plan.step(event.key)
    match node.kill:
        case Kill.STEP_TIMEOUT:
            return False
        case Kill.RUN_TIMEOUT:
            return step.timeout_seconds <= 0
        case Kill.STOP:
            return True
    return turn.run.cancelled and step.repeat is None


def is_late(turn: Turn, node: NodeState, event: StepExited) -> bool:
    """Whether an execution failed after its limit; the clock's own event may only be on its way."""
    limit = turn.plan.step(event.key).timeout_seconds
    if limit <= 0 or node.executed_at is None or rules.went_well(event):
        return False
    return turn.now >= node.executed_at + timedelta(seconds=limit)


def _succeed(turn: Turn, node: NodeState, event: StepExited) -> None:
    verdict = NodeStatus.PARTIALLY_SUCCEEDED if event.partial else NodeStatus.SUCCEEDED
    turn.put(event.key, node, done_count=node.done_count + 1, exit_code=event.exit_code, error="", verdict=verdict)
    _repeat_or_settle(turn, event.key, succeeded=True)


def _wait_for_retry(turn: Turn, node: NodeState, event: StepExited) -> bool:
    code = event.exit_code if event.retry_code is None else event.retry_code
    wait = None if turn.run.cancelled else rules.retry_wait(turn.plan.step(event.key), node, code)
    if wait is None:
        return False
    turn.put(
        event.key,
        node,
        retry_count=node.retry_count + 1,
        due_at=turn.now + wait,
        exit_code=event.exit_code,
        error=rules.failure_text(event),
    )
    return True


def _fail(turn: Turn, node: NodeState, event: StepExited) -> NodeState:
    """Note a failure that is not tried again; one that never got as far as its command counts no execution."""
    step = turn.plan.step(event.key)
    covered = rules.is_tolerated(step, event.exit_code, output_matched=event.output_matched)
    return turn.put(
        event.key,
        node,
        done_count=node.done_count + event.prepared,
        exit_code=event.exit_code,
        error=rules.failure_text(event),
        tolerated=covered,
        kill=None,
        verdict=rules.failure_status(step, tolerated=covered),
    )


def timeout_text(turn: Turn, node: NodeState, key: int) -> str:
    """Return the error of an execution that was ended by its own time limit."""
    limit = turn.plan.step(key).timeout_seconds
    seconds = (turn.time(node) - node.executed_at).total_seconds() if node.executed_at is not None else 0.0
    return f"ended after {seconds:.3f} s: the step's time limit is {limit} s"


def _repeat_or_settle(turn: Turn, key: int, *, succeeded: bool) -> None:
    node, policy = turn.steps[key], turn.plan.step(key).repeat
    if policy is None or turn.run.cancelled:
        settle_by_verdict(turn, key, node)
        return
    again = rules.repeats(policy, node, succeeded=succeeded)
    if again is None:
        turn.put(key, node, checking=True)
        turn.order(CheckRepeat(key=key, execution=node.execution))
    else:
        _end_or_wait(turn, key, policy, again=again)


def check_repeat(turn: Turn, policy: Repeat, event: RepeatChecked) -> None:
    """Go on or end, now that the repeat condition was looked at."""
    _end_or_wait(turn, event.key, policy, again=rules.repeats_when(policy, met=event.met))


def _end_or_wait(turn: Turn, key: int, policy: Repeat, *, again: bool) -> None:
    node = turn.steps[key]
    if again:
        turn.put(key, node, checking=False, due_at=turn.now + rules.repeat_wait(policy, node.done_count))
    else:
        settle_by_verdict(turn, key, node)


def settle_by_verdict(turn: Turn, key: int, node: NodeState) -> None:
    """End a step with the result of its last execution."""
    status = node.verdict if node.verdict is not None else NodeStatus.ABORTED
    if status is NodeStatus.FAILED:
        turn.blame(key, node.error)
    settle(turn, key, status)


def settle(turn: Turn, key: int, status: NodeStatus, **fields: Any) -> None:
    """End a running step, and settle or ready its dependents unless the run was cancelled."""
    node = turn.steps[key]
    over = {"checking": False, "due_at": None, "kill": None, "verdict": None}
    turn.put(key, node, status=status, finished_at=turn.time(node), **over, **fields)
    if turn.run.only is None and not turn.run.cancelled:
        _spread(turn, key)


def _spread(turn: Turn, key: int) -> None:
    """Look at the dependents of a settled step, and then at theirs where one is settled by that.

    Level by level: a step that depends on the failed one is told so, even if another step between them is settled too.
    """
    unseen = deque(_below(turn, key))
    while unseen:
        above, dependent = unseen.popleft()
        if _examine(turn, dependent, above):
            unseen.extend(_below(turn, dependent))


def _below(turn: Turn, key: int) -> list[tuple[int, int]]:
    return [(key, dependent) for dependent in turn.plan.dependents[key]]


def _examine(turn: Turn, key: int, settled: int | None = None) -> bool:
    """Ready a waiting step, or settle it when its dependencies rule it out; tell whether it was settled.

    ``settled`` is the dependency that has just ended. If it ended well nothing can be ruled out by now,
    which spares a wide join the walk over all it depends on at each end.
    """
    steps, above = turn.plan.dag.steps, turn.plan.depends[key]
    if turn.steps[key].status is not NodeStatus.NOT_STARTED:
        return False
    if rules.all_satisfied(steps, above, turn.steps):
        if turn.run.timed_out:
            turn.put(key, turn.steps[key], status=NodeStatus.ABORTED, error=rules.RUN_LIMIT_REACHED)
            return True
        turn.ready.append(key)
        return False
    if settled is not None and rules.is_satisfied(steps[settled], turn.steps[settled]):
        return False
    block = rules.block(steps, above, turn.steps)
    if block is None:
        return False
    covered = block.status is NodeStatus.SKIPPED and steps[key].continue_on.skipped
    turn.put(key, turn.steps[key], status=block.status, error=block.error, tolerated=covered)
    return True
