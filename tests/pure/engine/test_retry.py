"""Automatic retries inside one attempt of a run."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.engine import rules
from dagbook.engine.state import NodeState
from dagbook.spec.model import Condition, ContinueOn, Repeat, Retry
from tests.pure.engine.world import Outcome, World, dag, fails, lasts, step


def start_times(world: World) -> list[float]:
    return [at for at, _ in world.starts]


def test_waits_grow_by_the_backoff_up_to_the_cap() -> None:
    retry = Retry(limit=3, interval_seconds=1, backoff=2.0, max_interval_seconds=2)
    world = World(dag(step("a", retry=retry)), {"a": [fails()] * 4}).run()
    assert start_times(world) == [0, 1, 3, 5]
    assert (world.letters, world.label) == ("F", "failed")


def test_counters_tell_retries_and_finished_executions_apart() -> None:
    world = World(dag(step("a", retry=Retry(limit=3, interval_seconds=1))), {"a": [fails(), fails()]}).run()
    node = world.node("a")
    assert (node.retry_count, node.done_count, node.execution) == (2, 1, 3)
    assert node.retried_at is not None
    assert (node.error, node.exit_code) == ("", 0)


def test_a_waiting_step_runs_and_shows_its_last_failure() -> None:
    world = World(dag(step("a", retry=Retry(limit=1, interval_seconds=9))), {"a": [fails(7)]}).run()
    waiting = next(state.steps[0] for state in world.states if state.steps[0].due_at)
    assert (waiting.status.label, waiting.exit_code, waiting.error) == ("running", 7, "exit status 7")


@pytest.mark.parametrize(
    ("outcome", "policy", "executions"),
    [
        (fails(1), {"exit_codes": (1,)}, 2),
        (fails(2), {"exit_codes": (1,)}, 1),
        (Outcome(0, error="executor cannot be made"), {}, 1),
        (Outcome(0, error="executor cannot be made", retry_code=1), {}, 2),
        (Outcome(0, error="executor cannot be made", retry_code=1), {"exit_codes": (1,)}, 2),
        (Outcome(0, error="log cannot be opened", retry_code=1, prepared=False), {}, 1),
    ],
    ids=["listed", "not listed", "code 0", "counts as 1", "counts as listed", "not prepared"],
)
def test_only_some_failures_are_tried_again(outcome: Outcome, policy: dict[str, Any], executions: int) -> None:
    retry = Retry(limit=1, interval_seconds=0, **policy)
    world = World(dag(step("a", retry=retry)), {"a": [outcome] * 2}).run()
    assert len(world.starts) == executions


def test_a_step_that_could_not_be_prepared_has_no_finished_execution() -> None:
    outcome = Outcome(0, error="log cannot be opened", prepared=False)
    node = World(dag(step("a")), {"a": [outcome]}).run().node("a")
    assert (node.status.label, node.done_count, node.error) == ("failed", 0, "log cannot be opened")


def test_limit_and_interval_given_as_texts_count_as_they_were_evaluated() -> None:
    retry = Retry(limit="${N}", interval_seconds="${S}")
    world = World(dag(step("a", retry=retry)), {"a": [fails()] * 9}, plans={"a": (2, 4)}).run()
    assert start_times(world) == [0, 4, 8]


@pytest.mark.parametrize("retry", [Retry(limit="2", interval_seconds=0), Retry(limit=2, interval_seconds="0")])
def test_unevaluated_texts_mean_no_retry(retry: Retry) -> None:
    assert len(World(dag(step("a", retry=retry)), {"a": [fails()]}).run().starts) == 1


def test_mark_success_applies_though_retries_are_left_for_other_codes() -> None:
    tolerant = ContinueOn(failure=True, mark_success=True)
    retry = Retry(limit=3, interval_seconds=0, exit_codes=(9,))
    world = World(dag(step("a", retry=retry, continue_on=tolerant)), {"a": [fails(1)]}).run()
    assert (world.letters, world.label, world.node("a").error) == ("S", "succeeded", "exit status 1")


def test_retries_are_spent_once_over_all_repetitions() -> None:
    policy = {"retry": Retry(limit=1, interval_seconds=0), "repeat": Repeat(mode="until", exit_codes=(0,))}
    world = World(dag(step("a", **policy)), {"a": [fails(), fails(), fails()]}).run()
    node = world.node("a")
    assert (node.retry_count, node.done_count, world.label) == (1, 3, "succeeded")


def test_preconditions_are_checked_once() -> None:
    checked = step("a", retry=Retry(limit=2, interval_seconds=0), preconditions=(Condition(condition="true"),))
    world = World(dag(checked), {"a": [fails(), fails()]}).run()
    assert [type(action).__name__ for _, action in world.actions][:4] == [
        "CheckConditions",
        "StartStep",
        "StartStep",
        "StartStep",
    ]


def test_an_execution_that_says_no_error_still_has_one() -> None:
    assert World(dag(step("a")), {"a": [Outcome(5)]}).run().node("a").error == "exit status 5"


@pytest.mark.parametrize("backoff", [2.0, 1e300])
def test_a_backoff_without_a_cap_ends_at_a_year(backoff: float) -> None:
    policy = Retry(limit=10**9, interval_seconds=60, backoff=backoff)
    wait = rules.retry_wait(step("a", retry=policy), NodeState(retry_count=5000), 1)
    assert wait is not None
    assert wait.days == 365


def test_a_step_may_wait_while_others_run() -> None:
    world = World(
        dag(step("a", retry=Retry(limit=1, interval_seconds=5)), step("b"), step("c", "b")),
        {"a": [fails()], "b": [lasts(2)]},
    ).run()
    assert world.starts == [(0, "a"), (0, "b"), (2, "c"), (5, "a")]
