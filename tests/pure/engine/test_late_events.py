"""Events that come late, twice or about nothing: they change nothing, and clocks may go backwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dagbook.engine.action import CheckConditions, CheckRepeat, StartStep
from dagbook.engine.advance import advance, due
from dagbook.engine.event import (
    EXIT,
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
from dagbook.spec.model import Condition, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import START, World, dag, step

CONDITION = Condition(condition="true")
ANYTHING: list[Event] = [
    RunStarted(),
    StopRequested(),
    TimerFired(),
    ConditionsChecked(key=None, errors=("no",)),
    ConditionsChecked(key=0, errors=("",)),
    ExecutionStarted(key=0, execution=1),
    StepExited(key=0, execution=1, exit_code=1),
    StepExited(key=EXIT, execution=1, exit_code=1),
    RetryPlanned(key=0, limit=1, interval_seconds=1),
    RepeatChecked(key=0, execution=1, met=True),
]


def running(*events: Event, **fields: object) -> World:
    """One step whose actions are not carried out."""
    world = World(dag(step("a", **fields)), mute=(CheckConditions, StartStep, CheckRepeat))
    for event in (RunStarted(), *events):
        world.deliver(event)
    return world


def is_ignored(world: World, event: Event) -> bool:
    state, actions = advance(world.plan, world.state, event, world.now)
    return state is world.state and actions == ()


@pytest.mark.parametrize("event", ANYTHING, ids=repr)
def test_nothing_happens_to_a_closed_run(event: Event) -> None:
    assert is_ignored(World(dag(step("a"), handlers=Handlers(exit=Step(name="e")))).run(), event)


@pytest.mark.parametrize("event", [e for e in ANYTHING if not isinstance(e, (RunStarted, StopRequested))], ids=repr)
def test_nothing_but_a_beginning_or_a_stop_happens_to_a_new_run(event: Event) -> None:
    assert is_ignored(World(dag(step("a"))), event)


@pytest.mark.parametrize(
    "event",
    [
        RunStarted(),
        TimerFired(),
        ConditionsChecked(key=None, errors=("no",)),
        ConditionsChecked(key=0, errors=("no",)),
        ExecutionStarted(key=0, execution=2),
        StepExited(key=0, execution=0, exit_code=0),
        StepExited(key=0, execution=2, exit_code=0),
        StepExited(key=1, execution=1, exit_code=0),
        StepExited(key=EXIT, execution=1, exit_code=0),
        StepExited(key=-99, execution=1, exit_code=0),
        RetryPlanned(key=7, limit=1, interval_seconds=1),
        RepeatChecked(key=0, execution=1, met=True),
        RepeatChecked(key=9, execution=1, met=True),
    ],
    ids=repr,
)
def test_events_about_nothing_leave_the_very_same_state(event: Event) -> None:
    assert is_ignored(running(), event)


def test_a_process_begins_only_once() -> None:
    world = running(ExecutionStarted(key=0, execution=1))
    world.now += timedelta(seconds=5)
    assert is_ignored(world, ExecutionStarted(key=0, execution=1))


def test_an_execution_exits_only_once() -> None:
    exited = StepExited(key=0, execution=1, exit_code=1)
    assert is_ignored(running(exited, retry=Retry(limit=2, interval_seconds=60)), exited)


def test_an_execution_does_not_exit_while_its_repeat_condition_is_being_checked() -> None:
    exited = StepExited(key=0, execution=1, exit_code=0)
    policy = Repeat(mode="while", condition=CONDITION)
    assert is_ignored(running(exited, repeat=policy), exited)


@pytest.mark.parametrize(
    "event", [StepExited(key=0, execution=0, exit_code=0), RepeatChecked(key=0, execution=0, met=True)], ids=repr
)
def test_nothing_is_executed_while_preconditions_are_being_checked(event: Event) -> None:
    policy = Repeat(mode="while", condition=CONDITION)
    assert is_ignored(running(preconditions=(CONDITION,), repeat=policy), event)


def test_preconditions_that_cannot_be_evaluated_skip_the_step_and_say_why() -> None:
    world = running(ConditionsChecked(key=0, errors=("",), problem="no such variable"), preconditions=(CONDITION,))
    assert (world.letters, world.node("a").error) == ("K", "no such variable")


def test_preconditions_of_the_run_that_cannot_be_evaluated_abort_it_and_say_why() -> None:
    world = World(dag(step("a"), preconditions=(CONDITION,)), mute=(CheckConditions,))
    world.deliver(RunStarted())
    world.deliver(ConditionsChecked(key=None, errors=("",), problem="no such variable"))
    assert (world.letters, world.label, world.state.error) == ("N", "aborted", "no such variable")


def test_unmet_preconditions_stay_with_the_step() -> None:
    node = running(ConditionsChecked(key=0, errors=("no", ""), problem=""), preconditions=(CONDITION,) * 2).node("a")
    assert (node.conditions, node.error, node.execution) == (("no", ""), "", 0)


def test_a_clock_set_back_makes_no_end_precede_a_start() -> None:
    world = running()
    world.now -= timedelta(hours=1)
    world.deliver(ExecutionStarted(key=0, execution=1))
    world.deliver(StepExited(key=0, execution=1, exit_code=0))
    node = world.node("a")
    assert (node.executed_at, node.finished_at, world.state.finished_at) == (START, START, START)


def test_a_clock_set_back_during_a_retry_keeps_the_node_in_order() -> None:
    world = running(StepExited(key=0, execution=1, exit_code=1), retry=Retry(limit=1, interval_seconds=9))
    world.now += timedelta(seconds=9)
    world.deliver(TimerFired())
    world.now -= timedelta(hours=1)
    world.deliver(ExecutionStarted(key=0, execution=2))
    world.deliver(StepExited(key=0, execution=2, exit_code=0))
    retried = START + timedelta(seconds=9)
    node = world.node("a")
    assert (node.retried_at, node.executed_at, node.finished_at) == (retried, retried, retried)


def test_a_new_or_closed_run_waits_for_nothing() -> None:
    world = World(dag(step("a"), timeout_seconds=5))
    assert due(world.plan, world.state) is None
    assert due(world.plan, world.run().state) is None


def test_a_repeat_condition_counts_for_its_own_execution_only() -> None:
    policy = Repeat(mode="while", condition=CONDITION)
    world = running(StepExited(key=0, execution=1, exit_code=0), repeat=policy)
    assert is_ignored(world, RepeatChecked(key=0, execution=2, met=True))
    assert not is_ignored(world, RepeatChecked(key=0, execution=1, met=True))
