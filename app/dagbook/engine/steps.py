"""Transitions of steps and handlers: started, executed, retried, repeated, finished; and the effect on dependents."""

from __future__ import annotations

from collections import deque
from datetime import timedelta

import msgspec

from dagbook.engine import rules
from dagbook.engine.action import CheckConditions, CheckRepeat, StartStep
from dagbook.engine.event import INIT, WAIT, ConditionsChecked, RepeatChecked, StepExited
from dagbook.engine.state import Kill, NodeState
from dagbook.engine.status import NodeStatus
from dagbook.engine.transition import Transition
from dagbook.spec.model import Repeat


def init_ready(transition: Transition) -> None:
    """Find the steps that are ready at the start, and finish those that kept results already block."""
    only = transition.run.only
    for key in range(len(transition.steps)) if only is None else (only,):
        if _examine(transition, key) and only is None:
            _propagate(transition, key)
    transition.ready = sorted(set(transition.ready))


def start_ready(transition: Transition) -> None:
    """Start ready steps in order, within the run's limits."""
    dag, taken = transition.plan.dag, 0
    while taken < len(transition.ready):
        pause = transition.run.next_pick_at
        is_full = 0 < dag.max_active_steps <= transition.plan.count_working(transition.running)
        if is_full or (pause is not None and pause > transition.now):
            break
        start(transition, transition.ready[taken])
        taken += 1
        if dag.delay_seconds > 0:
            transition.set_run(next_pick_at=transition.now + timedelta(seconds=dag.delay_seconds))
    transition.ready = transition.ready[taken:]


def abort_ready(transition: Transition) -> None:
    """Abort the ready steps of a run that reached its time limit, and what depends on them."""
    waiting, transition.ready = transition.ready, []
    for key in waiting:
        transition.set_node(key, transition.steps[key], status=NodeStatus.ABORTED, error=rules.RUN_LIMIT_REACHED)
        if transition.run.only is None:
            _propagate(transition, key)


def start(transition: Transition, key: int) -> None:
    """Start a step or handler: its preconditions first, then its execution."""
    node = transition.steps[key] if key >= 0 else transition.handlers[key]
    if transition.plan.step(key).preconditions:
        transition.set_node(key, node, status=NodeStatus.RUNNING, started_at=transition.now, checking=True)
        transition.emit(CheckConditions(key=key))
    else:
        execution = node.execution + 1
        transition.set_node(key, node, status=NodeStatus.RUNNING, started_at=transition.now, execution=execution)
        transition.emit(StartStep(key=key, execution=execution))


def execute_checked(transition: Transition, node: NodeState, event: ConditionsChecked, key: int) -> bool:
    """Execute a node whose preconditions are met; otherwise return False, and the caller finishes it."""
    if event.problem or any(event.errors):
        return False
    execution = node.execution + 1
    transition.set_node(key, node, checking=False, execution=execution, conditions=event.errors)
    transition.emit(StartStep(key=key, execution=execution))
    return True


def check_conditions(transition: Transition, node: NodeState, event: ConditionsChecked, key: int) -> None:
    if not execute_checked(transition, node, event, key):
        tolerated = transition.plan.step(key).continue_on.skipped
        finish(transition, key, NodeStatus.SKIPPED, conditions=event.errors, error=event.problem, tolerated=tolerated)


def execute_again(transition: Transition, key: int, node: NodeState) -> None:
    """Start the retry or repetition that a node waited for."""
    execution = node.execution + 1
    fresh = {"due_at": None, "executed_at": None, "exit_code": None, "error": "", "verdict": None, "tolerated": False}
    if node.verdict is None:
        transition.set_node(key, node, execution=execution, retried_at=transition.timestamp(node), **fresh)
    else:
        transition.set_node(key, node, execution=execution, repeated=True, **fresh)
    transition.emit(StartStep(key=key, execution=execution))


def exit_step(transition: Transition, node: NodeState, event: StepExited) -> None:
    """Handle the end of an execution: finish, retry or repeat."""
    if _is_aborted(transition, node, event):
        finish(transition, event.key, NodeStatus.ABORTED, exit_code=event.exit_code, error=event.error)
    elif not event.prepared:
        finish_by_verdict(transition, event.key, _fail(transition, node, event))
    elif node.kill is not None or is_late(transition, node, event):
        late = msgspec.structs.replace(
            event, exit_code=rules.TIMEOUT_EXIT_CODE, error=timeout_text(transition, node, event.key)
        )
        _fail(transition, node, late)
        _repeat_or_finish(transition, event.key, succeeded=False)
    elif rules.is_success(event):
        verdict = NodeStatus.PARTIALLY_SUCCEEDED if event.partial else NodeStatus.SUCCEEDED
        done = {"done_count": node.done_count + 1, "exit_code": event.exit_code, "error": "", "verdict": verdict}
        transition.set_node(event.key, node, **done, decided_by=event.decided_by)
        _repeat_or_finish(transition, event.key, succeeded=True)
    elif not _wait_for_retry(transition, node, event):
        _fail(transition, node, event)
        _repeat_or_finish(transition, event.key, succeeded=False)


def _is_aborted(transition: Transition, node: NodeState, event: StepExited) -> bool:
    """Whether an execution ended because of a stop or time limit.

    A step's own time limit takes precedence over the run's; a stop lets a repeating step finish its execution.
    """
    step = transition.plan.step(event.key)
    match node.kill:
        case Kill.STEP_TIMEOUT:
            return False
        case Kill.RUN_TIMEOUT:
            return step.timeout_seconds <= 0
        case Kill.STOP:
            return True
    return transition.run.cancelled and step.repeat is None


def is_late(transition: Transition, node: NodeState, event: StepExited) -> bool:
    """Whether an execution failed after its time limit; its ``TimerFired`` may still be on its way."""
    limit = transition.plan.step(event.key).timeout_seconds
    if limit <= 0 or node.executed_at is None or rules.is_success(event):
        return False
    return transition.now >= node.executed_at + timedelta(seconds=limit)


def _wait_for_retry(transition: Transition, node: NodeState, event: StepExited) -> bool:
    code = event.exit_code if event.retry_code is None else event.retry_code
    wait = None if transition.run.cancelled else rules.retry_wait(transition.plan.step(event.key), node, code)
    if wait is None:
        return False
    transition.set_node(
        event.key,
        node,
        retry_count=node.retry_count + 1,
        due_at=transition.now + wait,
        exit_code=event.exit_code,
        error=rules.failure_text(event),
    )
    return True


def _fail(transition: Transition, node: NodeState, event: StepExited) -> NodeState:
    """Record a final failure; an execution that never reached its command is not counted."""
    rule = transition.plan.step(event.key).continue_on
    tolerated = rule.failure or event.exit_code in rule.exit_codes or event.output_matched
    tolerated = tolerated and not event.final
    return transition.set_node(
        event.key,
        node,
        done_count=node.done_count + event.prepared,
        exit_code=event.exit_code,
        error=rules.failure_text(event),
        tolerated=tolerated,
        decided_by=event.decided_by,
        kill=None,
        verdict=NodeStatus.SUCCEEDED if tolerated and rule.mark_success else NodeStatus.FAILED,
    )


def timeout_text(transition: Transition, node: NodeState, key: int) -> str:
    limit = transition.plan.step(key).timeout_seconds
    seconds = (transition.timestamp(node) - node.executed_at).total_seconds() if node.executed_at is not None else 0.0
    return f"ended after {seconds:.3f} s: the step's time limit is {limit} s"


def _repeat_or_finish(transition: Transition, key: int, *, succeeded: bool) -> None:
    node, policy = transition.steps[key], transition.plan.step(key).repeat
    if policy is None or transition.run.cancelled:
        finish_by_verdict(transition, key, node)
        return
    again = rules.repeats(policy, node, succeeded=succeeded)
    if again is None:
        transition.set_node(key, node, checking=True)
        transition.emit(CheckRepeat(key=key, execution=node.execution))
    else:
        _finish_or_wait(transition, key, policy, again=again)


def check_repeat(transition: Transition, event: RepeatChecked) -> None:
    """Repeat or finish a step whose repeat condition was evaluated, if it still waits for that."""
    node = transition.running_node(event.key)
    policy = transition.plan.step(event.key).repeat if node is not None else None
    if node is not None and policy is not None and node.checking and 0 < node.execution == event.execution:
        _finish_or_wait(transition, event.key, policy, again=rules.repeats_when(policy, met=event.met))


def _finish_or_wait(transition: Transition, key: int, policy: Repeat, *, again: bool) -> None:
    node = transition.steps[key]
    if again:
        transition.set_node(
            key, node, checking=False, due_at=transition.now + rules.repeat_wait(policy, node.done_count)
        )
    else:
        finish_by_verdict(transition, key, node)


def finish_by_verdict(transition: Transition, key: int, node: NodeState) -> None:
    """Finish a step with the result of its last execution."""
    status = node.verdict if node.verdict is not None else NodeStatus.ABORTED
    if status is NodeStatus.FAILED:
        transition.set_error(key, node.error)
    finish(transition, key, status)


def finish(transition: Transition, key: int, status: NodeStatus, **fields: object) -> None:
    """Finish a running step, and update its dependents unless the run is cancelled."""
    node = transition.steps[key]
    reset = {"checking": False, "due_at": None, "kill": None, "verdict": None}
    transition.set_node(key, node, status=status, finished_at=transition.timestamp(node), **reset, **fields)
    if transition.run.only is None and not transition.run.cancelled:
        _propagate(transition, key)


def _propagate(transition: Transition, key: int) -> None:
    """Update the dependents of a finished step, and transitively those of the dependents that this finishes.

    Level by level: a step that depends on the failed one gets that error, even if a step between them is finished too.
    """
    finished, already_ready = deque([key]), len(transition.ready)
    while finished:
        above = finished.popleft()
        for dependent in transition.plan.dependents[above]:
            if _examine(transition, dependent, above):
                finished.append(dependent)
    # A step below two that are skipped at once is made ready by each of them; it must not start twice.
    transition.ready[already_ready:] = dict.fromkeys(transition.ready[already_ready:])


def _examine(transition: Transition, key: int, finished: int | None = None) -> bool:
    """Make a step ready, or finish it if its dependencies block it; return whether it was finished.

    ``finished`` is the dependency that has just finished. If it is satisfied it blocks nothing, which saves a wide
    join the traversal of all its dependencies at each end.
    """
    steps, above = transition.plan.dag.steps, transition.plan.depends[key]
    if transition.steps[key].status is not NodeStatus.NOT_STARTED:
        return False
    if rules.all_satisfied(steps, above, transition.steps):
        if transition.run.timed_out:
            transition.set_node(key, transition.steps[key], status=NodeStatus.ABORTED, error=rules.RUN_LIMIT_REACHED)
            return True
        transition.ready.append(key)
        return False
    if finished is not None and rules.is_satisfied(steps[finished], transition.steps[finished]):
        return False
    block = rules.blocked_status(steps, above, transition.steps)
    if block is None:
        return False
    tolerated = block.status is NodeStatus.SKIPPED and steps[key].continue_on.skipped
    transition.set_node(key, transition.steps[key], status=block.status, error=block.error, tolerated=tolerated)
    return True


# -- handlers: one execution, no retry, no repetition; a failed handler fails the run ---------------------------------


def check_handler_conditions(transition: Transition, node: NodeState, event: ConditionsChecked, key: int) -> None:
    """Execute a handler whose preconditions are met; a skipped handler does not affect the run."""
    if not execute_checked(transition, node, event, key):
        finish_handler(transition, key, NodeStatus.SKIPPED, conditions=event.errors, error=event.problem)


def exit_handler(transition: Transition, node: NodeState, event: StepExited) -> None:
    """Finish a handler; a failed command fails the run, files that could not be opened do not."""
    is_before_outcome = event.key in (INIT, WAIT)
    stopped = node.kill is Kill.STOP or (is_before_outcome and transition.run.cancelled and node.kill is None)
    if stopped:
        finish_handler(transition, event.key, NodeStatus.ABORTED, exit_code=event.exit_code, error=event.error)
    elif node.kill is not None or is_late(transition, node, event):
        error = timeout_text(transition, node, event.key)
        finish_handler(transition, event.key, NodeStatus.FAILED, exit_code=rules.TIMEOUT_EXIT_CODE, error=error)
        _set_handler_error(transition, event.key, error)
    elif rules.is_success(event):
        status = NodeStatus.PARTIALLY_SUCCEEDED if event.partial else NodeStatus.SUCCEEDED
        finish_handler(transition, event.key, status, exit_code=event.exit_code)
    else:
        error = rules.failure_text(event)
        finish_handler(transition, event.key, NodeStatus.FAILED, exit_code=event.exit_code, error=error)
        if event.prepared:
            _set_handler_error(transition, event.key, error)


def finish_handler(transition: Transition, key: int, status: NodeStatus, **fields: object) -> None:
    node = transition.handlers[key]
    transition.set_node(
        key, node, status=status, finished_at=transition.timestamp(node), checking=False, kill=None, **fields
    )


def _set_handler_error(transition: Transition, key: int, error: str) -> None:
    if key == WAIT:  # without effect on the run (1.30, 7.2)
        return
    transition.set_error(key, error)
    if key == INIT:
        transition.set_run(cancelled=True)
    else:
        transition.set_run(outcome=rules.downgraded(transition.run.outcome))
