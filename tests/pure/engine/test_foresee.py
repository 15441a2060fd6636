"""What would begin next if what runs ended well, so that it can be prepared meanwhile."""

from __future__ import annotations

import pytest

from app.engine.action import CheckConditions, CheckRepeat, KillStep, SignalStep, StartStep
from app.engine.advance import foresee
from app.engine.event import Begin, ExecutionBegan, StopAsked
from app.spec.model import Condition, Dag, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import World, dag, step

CONDITION = Condition(condition="true")


def running(definition: Dag, *keys: int) -> World:
    """A run in which these steps, by key, have begun."""
    world = World(definition, mute=(CheckConditions, StartStep, CheckRepeat, KillStep, SignalStep))
    world.tell(Begin())
    for key in keys:
        world.tell(ExecutionBegan(key=key, execution=1))
    return world


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (dag(step("a"), step("b", "a"), step("c", "b")), StartStep(key=1, execution=1)),
        (dag(step("a"), step("b", "a"), step("c", "a")), StartStep(key=1, execution=1)),
        (dag(step("a")), None),
        (dag(step("a"), step("b", "a", preconditions=(CONDITION,))), None),
        (dag(step("a"), handlers=Handlers(success=Step(name="s"))), None),
        (dag(step("a", repeat=Repeat(mode="while")), step("b", "a")), None),
        (dag(step("a", retry=Retry(limit=1, interval_seconds=5)), step("b", "a")), StartStep(key=1, execution=1)),
    ],
)
def test_what_would_follow_a_step_that_succeeds(definition: Dag, expected: StartStep | None) -> None:
    world = running(definition, 0)
    before = world.state
    assert foresee(world.plan, world.state, 0, world.now) == expected
    assert world.state is before


def test_what_waits_for_another_step_as_well_does_not_follow() -> None:
    world = running(dag(step("a"), step("b"), step("c", "a", "b")), 0, 1)
    assert foresee(world.plan, world.state, 0, world.now) is None


def test_nothing_follows_in_a_run_that_is_stopped() -> None:
    world = running(dag(step("a"), step("b", "a")), 0)
    world.tell(StopAsked())
    assert foresee(world.plan, world.state, 0, world.now) is None
