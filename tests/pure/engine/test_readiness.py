"""Whether a step may run, and the result of one that never runs."""

from __future__ import annotations

import pytest

from dagbook.engine import plan as plans
from dagbook.engine import rules
from dagbook.engine.action import StartStep
from dagbook.engine.advance import advance
from dagbook.engine.event import ConditionsChecked, RunStarted
from dagbook.engine.plan import Plan
from dagbook.engine.rules import UPSTREAM_FAILED, UPSTREAM_SKIPPED
from dagbook.engine.state import NodeState
from dagbook.engine.status import NodeStatus
from dagbook.spec.model import Condition, ContinueOn
from tests.pure.engine.world import LETTERS, START, Outcome, World, dag, fails, lasts, step

STATUSES = {letter: status for status, letter in LETTERS.items()}


@pytest.mark.parametrize(
    ("ends", "ready", "status", "error"),
    [
        ("", True, None, None),
        ("SP", True, None, None),
        ("SN", False, None, None),
        ("SR", False, None, None),
        ("F", False, NodeStatus.ABORTED, UPSTREAM_FAILED),
        ("A", False, NodeStatus.ABORTED, ""),
        ("K", False, NodeStatus.SKIPPED, UPSTREAM_SKIPPED),
        ("NFR", False, NodeStatus.ABORTED, UPSTREAM_FAILED),
        ("FK", False, NodeStatus.SKIPPED, UPSTREAM_SKIPPED),
        ("KF", False, NodeStatus.ABORTED, UPSTREAM_FAILED),
        ("FA", False, NodeStatus.ABORTED, UPSTREAM_FAILED),
        ("AF", False, NodeStatus.ABORTED, UPSTREAM_FAILED),
        ("KA", False, NodeStatus.ABORTED, ""),
        ("AKS", False, NodeStatus.SKIPPED, UPSTREAM_SKIPPED),
    ],
)
def test_the_last_listed_dependency_that_ended_badly_decides(
    ends: str, ready: bool, status: NodeStatus | None, error: str | None
) -> None:
    steps = [step(str(key)) for key in range(len(ends))]
    nodes = [NodeState(status=STATUSES[end]) for end in ends]
    above = tuple(range(len(ends)))
    block = rules.blocked_status(steps, above, nodes)
    assert rules.all_satisfied(steps, above, nodes) is ready
    assert (block and block.status, block and block.error) == (status, error)


@pytest.mark.parametrize(
    ("tolerant", "status", "tolerated", "satisfied"),
    [
        (ContinueOn(skipped=True), NodeStatus.SKIPPED, False, True),
        (ContinueOn(failure=True), NodeStatus.SKIPPED, False, False),
        (ContinueOn(failure=True), NodeStatus.FAILED, True, True),
        (ContinueOn(skipped=True), NodeStatus.FAILED, False, False),
        (ContinueOn(failure=True, skipped=True), NodeStatus.ABORTED, False, False),
    ],
)
def test_a_dependency_that_did_not_succeed_counts_if_it_is_tolerated(
    tolerant: ContinueOn, status: NodeStatus, tolerated: bool, satisfied: bool
) -> None:
    node = NodeState(status=status, tolerated=tolerated)
    assert rules.is_satisfied(step("a", continue_on=tolerant), node) is satisfied


@pytest.mark.parametrize(
    ("tolerant", "outcome", "letters"),
    [
        (ContinueOn(failure=True), fails(9), "FS"),
        (ContinueOn(exit_codes=(9,)), fails(9), "FS"),
        (ContinueOn(exit_codes=(9,)), fails(8), "FA"),
        (ContinueOn(exit_codes=(0,)), Outcome(0, error="output too large"), "FS"),
        (ContinueOn(exit_codes=(-1,)), Outcome(-1, error="signal: killed"), "FS"),
        (ContinueOn(output=("fine",)), Outcome(1, output_matched=True), "FS"),
        (ContinueOn(output=("fine",)), Outcome(1), "FA"),
        (ContinueOn(skipped=True), fails(9), "FA"),
        (ContinueOn(mark_success=True), fails(9), "FA"),
        (ContinueOn(failure=True, mark_success=True), fails(9), "SS"),
    ],
)
def test_continue_on_says_which_failures_dependents_tolerate(
    tolerant: ContinueOn, outcome: Outcome, letters: str
) -> None:
    assert World(dag(step("a", continue_on=tolerant), step("b", "a")), {"a": [outcome]}).run().letters == letters


def test_independent_branches_go_on_after_a_failure() -> None:
    branches = (step("a"), step("b", "a"), step("c"), step("d", "c"))
    assert World(dag(*branches), {"a": [fails()], "c": [lasts(5)]}).run().letters == "FASS"


def test_a_verdict_falls_while_other_dependencies_still_run() -> None:
    world = World(dag(step("a"), step("b"), step("c", "a", "b")), {"a": [fails(1, 1)], "b": [lasts(5)]}).run()
    first = next(state for state in world.states if state.steps[2].status.is_final)
    assert LETTERS[first.steps[1].status] == "R"


def test_steps_finished_by_propagation_have_no_times() -> None:
    node = World(dag(step("a"), step("b", "a")), {"a": [fails()]}).run().node("b")
    assert (node.started_at, node.finished_at) == (None, None)


def test_a_skipped_step_whose_skipping_is_tolerated_lets_its_dependents_run() -> None:
    skipped = step("a", preconditions=(Condition(condition="false"),))
    middle = step("b", "a", continue_on=ContinueOn(skipped=True))
    world = World(dag(skipped, middle, step("c", "b")), conditions={"a": ("no",)}).run()
    assert (world.letters, world.node("b").tolerated) == ("KKS", True)


@pytest.mark.parametrize("limit", [0, 1])
def test_a_step_below_two_that_are_skipped_at_once_starts_once(limit: int) -> None:
    tolerant = ContinueOn(skipped=True)
    skipped = step("a", preconditions=(Condition(condition="false"),))
    middle = (step("b", "a"), step("c", "b", continue_on=tolerant), step("d", "b", continue_on=tolerant))
    plan = Plan.of(dag(skipped, *middle, step("e", "c", "d"), max_active_steps=limit))
    state, _ = advance(plan, plans.initial_state(plan), RunStarted(), START)
    state, actions = advance(plan, state, ConditionsChecked(key=0, errors=("no",)), START)
    assert (actions, state.ready) == ((StartStep(key=4, execution=1),), ())
