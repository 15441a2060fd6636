"""``advance``, the transition function of a run: (state, event) -> (state, actions)."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from dagbook.engine import phases, steps, stopping
from dagbook.engine.action import Action, AdoptStep, CheckConditions, CheckRepeat, KillStep, SignalStep
from dagbook.engine.event import (
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
from dagbook.engine.stopping import due, is_executing, is_repeating, is_stopping
from dagbook.engine.transition import Transition

__all__ = ["advance", "due", "resume"]


def advance(plan: Plan, state: RunState, event: Event, now: datetime) -> tuple[RunState, tuple[Action, ...]]:
    """Return the state after an event and the actions that follow from it.

    Total and deterministic: an event that is late, repeated or about an unknown node leaves the same state object and
    emits nothing. Each action is emitted once; ``resume`` emits the outstanding ones again.
    """
    transition = Transition(plan, state, now)
    _apply(transition, event)
    phases.proceed(transition)
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
                phases.start(transition, event.problem)
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
            phases.check_conditions(transition, event)
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
