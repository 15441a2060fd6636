"""Data model of a dry run, and the simulation of a run in which every command succeeds at once. Pure."""

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


class Fact(msgspec.Struct, frozen=True):
    """Labelled text of a dry run, of one or several lines."""

    label: str
    text: str


class StepPreview(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a step or handler; ``note`` says why it would not run."""

    title: str
    facts: tuple[Fact, ...]
    note: str = ""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a run of one DAG."""

    title: str
    facts: tuple[Fact, ...]
    steps: tuple[StepPreview, ...]
    handlers: tuple[StepPreview, ...]
    ending: str


_START = datetime(2000, 1, 1, tzinfo=UTC)


def simulate(dag: Dag, unmet: Mapping[int | None, tuple[str, ...]]) -> RunState:
    """Return the final state of a run; ``unmet`` has the errors of the preconditions of the DAG (None) and of nodes."""
    # Without delays, time limits, retries and repetitions.
    steps = tuple(msgspec.structs.replace(step, retry=None, repeat=None, timeout_seconds=0) for step in dag.steps)
    plan = Plan.of(msgspec.structs.replace(dag, steps=steps, timeout_seconds=0, delay_seconds=0))
    now = _START
    state, actions = advance(plan, initial_state(plan), event.RunStarted(), now)
    pending = deque(actions)
    while state.phase is not Phase.CLOSED:
        if not pending:
            now = max(now, due(plan, state) or now)
        for result in _events_of(pending.popleft(), unmet) if pending else (event.TimerFired(),):
            state, actions = advance(plan, state, result, now)
            pending += actions
    return state


def _events_of(requested: action.Action, unmet: Mapping[int | None, tuple[str, ...]]) -> Iterator[event.Event]:
    match requested:
        case action.CheckConditions(key=key):
            yield event.ConditionsChecked(key=key, errors=unmet.get(key, ()))
        case action.StartStep(key=key, execution=number):
            yield event.ExecutionStarted(key=key, execution=number)
            yield event.StepExited(key=key, execution=number, exit_code=0)
