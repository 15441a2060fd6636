"""Steps that wait for an approval: when a run is at rest, and what stands still meanwhile (DAG format 1.30, 7.3)."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.engine.action import StartStep
from dagbook.engine.event import WAIT, StepExited
from dagbook.engine.plan import Plan, retry_state
from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import NodeStatus
from dagbook.spec.model import HITL, ContinueOn, Executor, Handlers, Step
from tests.pure.engine.world import START, World, dag, fails, lasts, step

ASKS = Executor(type=HITL)
WAITING = Handlers(wait=Step(name="w"))


def gate(name: str, *depends: str, **fields: Any) -> Step:
    return step(name, *depends, executor=ASKS, **fields)


def waits(world: World) -> list[float]:
    """The seconds at which the wait handler was started."""
    return [at for at, action in world.actions if isinstance(action, StartStep) and action.key == WAIT]


def test_the_time_limit_of_the_run_counts_only_while_something_else_runs() -> None:
    steps = step("a"), gate("g", "a"), step("b", "g")
    script = {"a": [lasts(3)], "g": [lasts(100)], "b": [lasts(1)]}
    world = World(dag(*steps, timeout_seconds=5), script).run()
    assert (world.label, world.elapsed, world.state.rested_seconds) == ("succeeded", 104, 100)


def test_the_time_limit_ends_a_run_whose_other_branch_runs_beside_an_approval() -> None:
    world = World(dag(gate("g"), step("a"), timeout_seconds=5), {"g": [lasts(100)], "a": [lasts(100)]}).run()
    assert world.state.finished_at is not None
    assert (world.label, (world.state.finished_at - START).total_seconds()) == ("failed", 5)


def test_the_wait_handler_runs_when_nothing_but_approvals_is_left_and_once_for_each_rest() -> None:
    steps = gate("g"), step("a"), gate("h", "g")
    script = {"g": [lasts(10)], "a": [lasts(4)], "h": [lasts(10)]}
    world = World(dag(*steps, handlers=WAITING), script).run()
    assert waits(world) == [4, 10]
    assert world.state.handlers[WAIT].execution == 2


def test_a_further_approval_during_a_rest_is_no_new_rest() -> None:
    script = {"g": [lasts(10)], "h": [lasts(20)]}
    world = World(dag(gate("g"), gate("h"), handlers=WAITING), script).run()
    assert waits(world) == [0]


def test_a_wait_handler_that_fails_or_goes_on_changes_nothing() -> None:
    script = {"g": [lasts(1)], "onWait": [fails(1, 5)]}
    world = World(dag(gate("g"), step("a", "g"), handlers=WAITING), script).run()
    assert (world.label, world.state.error, world.elapsed) == ("succeeded", "", 5)


def test_a_stop_aborts_what_waits_and_the_wait_handler() -> None:
    script = {"g": [lasts(100)], "onWait": [lasts(100)]}
    world = World(dag(gate("g"), handlers=WAITING), script).run(2)
    assert (world.label, world.letters) == ("aborted", "A")
    assert world.state.handlers[WAIT].status is NodeStatus.ABORTED


@pytest.mark.parametrize("most", [1, 2])
def test_approvals_take_no_place_of_the_active_steps(most: int) -> None:
    script = {"g": [lasts(10)], "a": [lasts(2)], "b": [lasts(2)]}
    world = World(dag(gate("g"), step("a"), step("b"), max_active_steps=most), script).run()
    assert (world.label, world.elapsed) == ("succeeded", 10)


def test_a_rejection_is_not_tolerated_by_continue_on() -> None:
    rule = ContinueOn(failure=True, exit_codes=(1,))
    world = World(dag(gate("g", continue_on=rule), step("a", "g")), mute=(StartStep,)).run()
    world.deliver(StepExited(key=0, execution=1, exit_code=1, error="rejected by ann", final=True, decided_by="ann"))
    assert (world.letters, world.label) == ("FA", "failed")
    assert (world.node("g").decided_by, world.node("g").tolerated) == ("ann", False)


GIVEN = NodeState(status=NodeStatus.SUCCEEDED, decided_by="ann")
BY_HAND = NodeState(status=NodeStatus.SUCCEEDED)


@pytest.mark.parametrize(
    ("state", "is_asked_again", "is_closed"),
    [
        (GIVEN, False, False),
        (BY_HAND, True, True),
        (NodeState(status=NodeStatus.PARTIALLY_SUCCEEDED), True, True),
        (NodeState(status=NodeStatus.FAILED, decided_by="ann"), True, True),
        (NodeState(status=NodeStatus.FAILED, tolerated=True), True, False),
        (NodeState(status=NodeStatus.ABORTED), True, True),
        (NodeState(), True, True),
        (NodeState(status=NodeStatus.SKIPPED), False, False),
    ],
)
def test_an_approval_that_nobody_has_given_is_asked_for_by_a_retry_with_all_behind_it(
    state: NodeState, *, is_asked_again: bool, is_closed: bool
) -> None:
    plan = Plan.of(dag(step("a"), gate("g", "a"), step("b", "g"), step("c", "b"), step("d", "a")))
    before = RunState(steps=(BY_HAND, state, BY_HAND, BY_HAND, BY_HAND))
    kept = [node.status.is_final for node in retry_state(plan, before).steps]
    assert kept == ([True, False, False, False, True] if is_asked_again else [True] * 5)
    closed = [plan.find_open_approval(key, before.steps) for key in range(5)]
    assert closed == ([None, None, 1, 1, None] if is_closed else [None] * 5)
