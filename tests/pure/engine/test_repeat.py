"""Repetition of a step: when it is executed once more, and what it is in the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest

from dagbook.engine import rules
from dagbook.engine.state import NodeState
from dagbook.spec.model import Condition, ContinueOn, Repeat, Retry
from tests.pure.engine.world import START, Outcome, World, dag, fails, step

CONDITION = Condition(condition="test -e flag")


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        (Repeat(mode="while"), 0, True),
        (Repeat(mode="while"), 1, False),
        (Repeat(mode="until"), 0, False),
        (Repeat(mode="until"), 1, True),
        (Repeat(mode="while", exit_codes=(3,)), 3, True),
        (Repeat(mode="while", exit_codes=(3,)), 0, False),
        (Repeat(mode="until", exit_codes=(3,)), 3, False),
        (Repeat(mode="until", exit_codes=(3,)), 0, True),
        (Repeat(mode="until", exit_codes=(3,), condition=CONDITION), 3, None),
        (Repeat(mode="while", limit=1), 0, False),
        (Repeat(mode="while", limit=2), 0, True),
        (Repeat(mode="while", limit=1, condition=CONDITION), 0, False),
    ],
)
def test_an_execution_leads_to_another_one(policy: Repeat, code: int, again: bool | None) -> None:
    node = NodeState(exit_code=code, done_count=1)
    assert rules.repeats(policy, node, succeeded=code == 0) is again


@pytest.mark.parametrize(
    ("mode", "met", "again"),
    [
        ("while", True, True),
        ("while", False, False),
        ("while", None, False),
        ("until", True, False),
        ("until", False, True),
        ("until", None, True),
    ],
)
def test_a_condition_decides(mode: Literal["while", "until"], met: bool | None, again: bool) -> None:
    assert rules.repeats_when(Repeat(mode=mode, condition=CONDITION), met=met) is again


def test_the_first_wait_is_multiplied_already() -> None:
    policy = Repeat(mode="while", interval_seconds=1, backoff=2.0, limit=4, max_interval_seconds=5)
    world = World(dag(step("a", repeat=policy))).run()
    assert [at for at, _ in world.starts] == [0, 2, 6, 11]


def test_every_finished_execution_counts() -> None:
    node = World(dag(step("a", repeat=Repeat(mode="while", limit=3)))).run().node("a")
    assert (node.done_count, node.repeated, node.execution, node.retried_at) == (3, True, 3, None)


def test_a_condition_is_asked_after_each_execution() -> None:
    policy = Repeat(mode="until", condition=CONDITION)
    world = World(dag(step("a", repeat=policy)), repeats={"a": [False, None, True]}).run()
    assert (len(world.starts), world.letters, world.label) == (3, "S", "succeeded")


def test_a_failure_that_is_repeated_away_leaves_nothing_behind() -> None:
    policy = Repeat(mode="until", exit_codes=(0,))
    world = World(dag(step("a", repeat=policy), step("b", "a")), {"a": [fails(), fails()]}).run()
    assert (world.letters, world.label, world.state.error, world.node("a").error) == ("SS", "succeeded", "", "")


def test_the_limit_on_a_failing_execution_fails_the_step() -> None:
    policy = Repeat(mode="until", exit_codes=(0,), limit=2)
    world = World(dag(step("a", repeat=policy), step("b", "a")), {"a": [fails()] * 2}).run()
    assert (world.letters, world.label, world.node("a").done_count) == ("FA", "failed", 2)


def test_a_partial_success_survives_the_question_for_a_repetition() -> None:
    policy = Repeat(mode="while", condition=CONDITION)
    world = World(dag(step("a", repeat=policy)), {"a": [Outcome(partial=True)]}, repeats={"a": [False]}).run()
    assert world.letters == "P"


def test_tolerance_survives_the_question_for_a_repetition() -> None:
    policy = Repeat(mode="while", condition=CONDITION)
    tolerant = ContinueOn(output=("fine",))
    world = World(
        dag(step("a", repeat=policy, continue_on=tolerant), step("b", "a")),
        {"a": [Outcome(1, output_matched=True)]},
        repeats={"a": [False]},
    ).run()
    assert (world.letters, world.label) == ("FS", "partially_succeeded")


def test_tolerance_belongs_to_the_last_execution_only() -> None:
    policy = Repeat(mode="until", exit_codes=(0,), limit=2)
    tolerant = ContinueOn(exit_codes=(3,))
    world = World(dag(step("a", repeat=policy, continue_on=tolerant)), {"a": [fails(3), fails(4)]}).run()
    assert not world.node("a").tolerated


def test_a_step_out_of_time_may_be_repeated() -> None:
    policy = Repeat(mode="until", exit_codes=(0,))
    world = World(dag(step("a", repeat=policy, timeout_seconds=1)), {"a": [Outcome(seconds=9)]}).run()
    assert (world.starts, world.label) == ([(0, "a"), (1, "a")], "succeeded")


def test_a_tolerated_failure_is_forgotten_by_the_repetition() -> None:
    again = step("a", repeat=Repeat(mode="until", exit_codes=(0,)), continue_on=ContinueOn(failure=True))
    world = World(dag(again), {"a": [fails()]}).run()
    assert (world.node("a").tolerated, world.label) == (False, "succeeded")


def test_a_retry_and_a_repetition_are_told_apart() -> None:
    both = step("a", repeat=Repeat(mode="until", exit_codes=(0,)), retry=Retry(limit=1, interval_seconds=2))
    states = World(dag(both), {"a": [fails(), fails()]}).run().states
    nodes = {state.steps[0].execution: state.steps[0] for state in states}
    assert [nodes[execution].repeated for execution in (1, 2, 3)] == [False, False, True]
    assert [nodes[execution].retried_at for execution in (2, 3)] == [START + timedelta(seconds=2)] * 2
