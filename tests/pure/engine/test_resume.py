"""The outstanding actions when another process adopts a run from its rows."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from dagbook.engine import plan as plans
from dagbook.engine.action import Action, AdoptStep, CheckConditions, CheckRepeat, KillStep, SignalStep, StartStep
from dagbook.engine.advance import due, resume
from dagbook.engine.event import INIT, Event, ExecutionStarted, RunStarted, StepExited, StopRequested, TimerFired
from dagbook.engine.state import Phase, RunState
from dagbook.spec.model import Condition, Dag, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import START, World, dag, step

CONDITION = Condition(condition="true")
ONE = dag(step("a", timeout_seconds=1), max_clean_up_seconds=3)
BEGAN = ExecutionStarted(key=0, execution=1)
EXITED = StepExited(key=0, execution=1, exit_code=1)
WAITING = dag(step("a", retry=Retry(limit=1, interval_seconds=5)))
ASKING = dag(step("a", repeat=Repeat(mode="until", condition=CONDITION)))
REPEATING = dag(step("a", repeat=Repeat(mode="while")))
PREPARING = dag(step("a"), handlers=Handlers(init=Step(name="i")))


def told(definition: Dag, *events: Event) -> World:
    world = World(definition, mute=(CheckConditions, StartStep, CheckRepeat, KillStep, SignalStep))
    for event in events:
        world.deliver(event)
        world.now += timedelta(seconds=1)
    return world


@pytest.mark.parametrize(
    ("definition", "events", "orders"),
    [
        (ONE, (), []),
        (dag(step("a"), preconditions=(CONDITION,)), (RunStarted(),), [CheckConditions(key=None)]),
        (dag(step("a", preconditions=(CONDITION,))), (RunStarted(),), [CheckConditions(key=0)]),
        (PREPARING, (RunStarted(),), [AdoptStep(key=INIT, execution=1)]),
        (ONE, (RunStarted(),), [AdoptStep(key=0, execution=1)]),
        (ONE, (RunStarted(), BEGAN), [AdoptStep(key=0, execution=1)]),
        (ONE, (RunStarted(), BEGAN, TimerFired()), [AdoptStep(key=0, execution=1), KillStep(key=0)]),
        (ONE, (RunStarted(), StopRequested()), [AdoptStep(key=0, execution=1), SignalStep(key=0, signal="SIGTERM")]),
        (REPEATING, (RunStarted(), StopRequested()), [AdoptStep(key=0, execution=1)]),
        (WAITING, (RunStarted(), EXITED), []),
        (ASKING, (RunStarted(), EXITED), [CheckRepeat(key=0, execution=1)]),
        (WAITING, (RunStarted(), BEGAN, StopRequested(), EXITED), []),
    ],
    ids=[
        "new",
        "preconditions of the run",
        "preconditions of a step",
        "handler",
        "step not begun",
        "step begun",
        "out of time",
        "stopped",
        "stopped but repeating",
        "waiting",
        "repeat condition",
        "closed",
    ],
)
def test_orders_that_were_not_answered_are_given_again(
    definition: Dag, events: tuple[Event, ...], orders: list[Action]
) -> None:
    world = told(definition, *events)
    assert list(resume(world.plan, world.state)) == orders


def stored(state: RunState) -> RunState:
    return msgspec.structs.replace(state, ready=(), running=())


def test_waits_are_told_from_the_rows() -> None:
    world = told(WAITING, RunStarted(), EXITED)
    taken = plans.rebuild_ready(world.plan, stored(world.state))
    assert due(world.plan, taken) == START + timedelta(seconds=6)


def test_ready_steps_are_told_from_the_rows_and_begin_at_once() -> None:
    world = told(dag(step("a"), step("b"), step("c", "a"), max_active_steps=1), RunStarted(), EXITED)
    taken = plans.rebuild_ready(world.plan, stored(world.state))
    assert (taken.ready, taken.running) == ((), (1,))


def test_a_pause_between_launches_is_told_from_the_rows() -> None:
    world = told(dag(step("a"), step("b"), delay_seconds=7), RunStarted())
    taken = plans.rebuild_ready(world.plan, stored(world.state))
    assert (taken.ready, due(world.plan, taken)) == ((1,), START + timedelta(seconds=7))


def test_a_step_that_could_begin_makes_time_come_at_once() -> None:
    world = told(dag(step("a"), step("b")), RunStarted())
    held_up = msgspec.structs.replace(world.state, ready=(1,), running=(0,))
    assert due(world.plan, held_up) == START


def test_only_the_retried_step_can_be_ready() -> None:
    pair = dag(step("a"), step("b"), handlers=Handlers(init=Step(name="i")))
    first = World(pair).run(0).state
    world = told(pair, RunStarted())
    state = msgspec.structs.replace(plans.retry_state(world.plan, first, 0), phase=Phase.STEPS)
    assert plans.rebuild_ready(world.plan, state).ready == (0,)


def test_nothing_is_ready_in_a_cancelled_run() -> None:
    world = told(dag(step("a"), step("b"), max_active_steps=1), RunStarted(), StopRequested())
    assert plans.rebuild_ready(world.plan, stored(world.state)).ready == ()
