"""The one function through which a run moves: what is and what happened become what is now and what to do."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from app.engine import handlers, phases, steps, stopping
from app.engine.action import Action, AdoptStep, CheckConditions, CheckRepeat, KillStep, SignalStep
from app.engine.event import (
    Begin,
    ConditionsChecked,
    Event,
    ExecutionBegan,
    RepeatChecked,
    RetryPlanned,
    StepExited,
    StopAsked,
    TimeCame,
)
from app.engine.outlook import due, is_executing, is_repeating, is_stopping
from app.engine.plan import Plan, running_keys
from app.engine.state import NodeState, Phase, RunState
from app.engine.turn import Turn

__all__ = ["advance", "due", "resume"]


def advance(plan: Plan, state: RunState, event: Event, now: datetime) -> tuple[RunState, tuple[Action, ...]]:
    """Return the state after an event and the orders that follow from it.

    Total and deterministic: an event that comes late, twice or for nothing that is there leaves the
    very same state and orders nothing. The orders are given once; ``resume`` gives them again.
    """
    turn = Turn(plan, state, now)
    _tell(turn, event)
    phases.proceed(turn)
    return turn.state() if turn.touched else state, tuple(turn.actions)


def resume(plan: Plan, state: RunState) -> tuple[Action, ...]:
    """Return what is outstanding in a run that another process began; its waits are left to ``due``."""
    if state.phase is Phase.PRECONDITIONS:
        return (CheckConditions(key=None),)
    orders: list[Action] = []
    for key in running_keys(state):
        orders += _outstanding(plan, state, key, state.handlers[key] if key < 0 else state.steps[key])
    return tuple(orders)


def _outstanding(plan: Plan, state: RunState, key: int, node: NodeState) -> list[Action]:
    if node.checking:
        first = node.execution == 0
        return [CheckConditions(key=key) if first else CheckRepeat(key=key, execution=node.execution)]
    if not is_executing(node):
        return []
    orders: list[Action] = [AdoptStep(key=key, execution=node.execution)]
    if node.kill is not None:
        orders.append(KillStep(key=key))
    elif is_stopping(state) and not is_repeating(plan, key):
        orders.append(SignalStep(key=key, signal=stopping.TERM))
    return orders


def _tell(turn: Turn, event: Event) -> None:
    """Let an event have its effect, if there still is something that it could be about."""
    match event:
        case Begin():
            if turn.run.phase is Phase.NEW:
                phases.begin(turn, event.problem)
        case StopAsked():
            stopping.ask_stop(turn, at_once=event.at_once)
        case TimeCame():
            stopping.come(turn)
        case ConditionsChecked():
            _check_conditions(turn, event)
        case RetryPlanned():
            _plan_retry(turn, event)
        case ExecutionBegan():
            _begin_execution(turn, event)
        case StepExited():
            _exit(turn, event)
        case RepeatChecked():
            _check_repeat(turn, event)
        case _ as never:
            assert_never(never)


def _check_conditions(turn: Turn, event: ConditionsChecked) -> None:
    if event.key is None:
        if turn.run.phase is Phase.PRECONDITIONS:
            phases.check_conditions(turn, event)
        return
    node = turn.running_node(event.key)
    if node is not None and node.checking and node.execution == 0:
        (handlers if event.key < 0 else steps).check_conditions(turn, node, event, event.key)


def _plan_retry(turn: Turn, event: RetryPlanned) -> None:
    node = turn.running_node(event.key)
    if node is not None:
        turn.put(event.key, node, retry_limit=event.limit, retry_interval_seconds=event.interval_seconds)


def _begin_execution(turn: Turn, event: ExecutionBegan) -> None:
    node = _execution(turn, event)
    if node is None or node.executed_at is not None:
        return
    turn.put(event.key, node, executed_at=turn.time(node))
    # What was sent before there was a process has reached nobody.
    if node.kill is not None:
        turn.order(KillStep(key=event.key))
    elif is_stopping(turn.run) and not is_repeating(turn.plan, event.key):
        stopping.signal_softly(turn, event.key)


def _exit(turn: Turn, event: StepExited) -> None:
    node = _execution(turn, event)
    if node is None:
        return
    if event.key < 0:
        handlers.exit_handler(turn, node, event)
    else:
        steps.exit_step(turn, node, event)


def _check_repeat(turn: Turn, event: RepeatChecked) -> None:
    node = turn.running_node(event.key)
    policy = turn.plan.step(event.key).repeat if node is not None else None
    if node is not None and policy is not None and node.checking and 0 < node.execution == event.execution:
        steps.check_repeat(turn, policy, event)


def _execution(turn: Turn, event: ExecutionBegan | StepExited) -> NodeState | None:
    """Return the node if it is this very execution that is under way."""
    node = turn.running_node(event.key)
    return node if node is not None and node.execution == event.execution and is_executing(node) else None
