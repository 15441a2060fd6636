"""Lets the engine go through a run in which every command succeeds at once. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from dagbook.engine import action, event
from dagbook.engine.advance import advance, due
from dagbook.engine.plan import Plan, initial_state
from dagbook.engine.state import Phase, RunState
from dagbook.spec.model import Dag

_START = datetime(2000, 1, 1, tzinfo=UTC)


def simulate(dag: Dag, unmet: Mapping[int | None, tuple[str, ...]]) -> RunState:
    """Return what a run would come to; ``unmet`` has the errors of preconditions, of the DAG (None) and of nodes."""
    plan = Plan.of(_without_time(dag))
    now = _START
    state, orders = advance(plan, initial_state(plan), event.RunStarted(), now)
    waiting = deque(orders)
    while state.phase is not Phase.CLOSED:
        if not waiting:
            now = max(now, due(plan, state) or now)
        for fact in _answers(waiting.popleft(), unmet) if waiting else (event.TimerFired(),):
            state, orders = advance(plan, state, fact, now)
            waiting += orders
    return state


def _without_time(dag: Dag) -> Dag:
    """Leave out whatever makes a run wait, end too late, or do things twice."""
    steps = tuple(msgspec.structs.replace(step, retry=None, repeat=None, timeout_seconds=0) for step in dag.steps)
    return msgspec.structs.replace(dag, steps=steps, timeout_seconds=0, delay_seconds=0)


def _answers(order: action.Action, unmet: Mapping[int | None, tuple[str, ...]]) -> Iterator[event.Event]:
    match order:
        case action.CheckConditions(key=key):
            yield event.ConditionsChecked(key=key, errors=unmet.get(key, ()))
        case action.StartStep(key=key, execution=number):
            yield event.ExecutionStarted(key=key, execution=number)
            yield event.StepExited(key=key, execution=number, exit_code=0)
