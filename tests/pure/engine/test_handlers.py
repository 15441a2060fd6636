"""Handlers: which runs when, and what its end does to the run."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.engine.action import KillStep
from dagbook.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS
from dagbook.engine.plan import Plan, retry_state
from dagbook.spec.model import Condition, ContinueOn, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import Outcome, World, dag, fails, lasts, step

TRUE = (Condition(condition="true"),)
ALL = Handlers(
    init=Step(name="i"), success=Step(name="s"), failure=Step(name="f"), abort=Step(name="c"), exit=Step(name="e")
)


@pytest.mark.parametrize(
    ("script", "stops", "order"),
    [
        ({}, (), ["onInit", "onSuccess", "onExit"]),
        ({"a": [fails(1, 2)]}, (), ["onInit", "onFailure", "onExit"]),
        ({"a": [lasts(2)]}, (1,), ["onInit", "onCancel", "onExit"]),
        ({"onInit": [fails()]}, (), ["onInit", "onCancel", "onExit"]),
        ({"onSuccess": [fails()]}, (), ["onInit", "onSuccess", "onExit"]),
    ],
    ids=["success", "failure", "stop", "init fails", "success handler fails"],
)
def test_one_handler_matches_the_outcome_and_exit_runs_last(
    script: dict[str, list[Outcome]], stops: tuple[float, ...], order: list[str]
) -> None:
    assert World(dag(step("a"), handlers=ALL), script).run(*stops).handlers == order


def test_a_partial_success_is_answered_by_the_success_handler() -> None:
    world = World(dag(step("a"), handlers=ALL), {"a": [Outcome(partial=True)]}).run()
    assert world.handlers == ["onInit", "onSuccess", "onExit"]


def test_unmet_preconditions_of_the_run_skip_the_init_handler() -> None:
    world = World(dag(step("a"), handlers=ALL, preconditions=TRUE), conditions={"": ("no",)}).run()
    assert (world.handlers, world.label, world.state.error) == (["onCancel", "onExit"], "aborted", "")
    assert world.state.conditions == ("no",)


def test_a_run_stays_running_until_its_last_handler_has_ended() -> None:
    world = World(dag(step("a"), handlers=ALL), {"onExit": [lasts(5)]}).run()
    before_last = world.states[-2]
    assert (before_last.status.label, before_last.finished_at) == ("running", None)
    assert world.label == "succeeded"


@pytest.mark.parametrize(
    ("failing", "steps", "label"),
    [
        ("onSuccess", Outcome(), "failed"),
        ("onExit", Outcome(), "failed"),
        ("onExit", Outcome(partial=True), "partially_succeeded"),
        ("onFailure", fails(), "failed"),
    ],
)
def test_a_failing_handler_takes_the_success_away(failing: str, steps: Outcome, label: str) -> None:
    assert World(dag(step("a"), handlers=ALL), {"a": [steps], failing: [fails()]}).run().label == label


def test_a_failing_handler_leaves_an_aborted_run_aborted() -> None:
    world = World(dag(step("a"), handlers=ALL), {"a": [lasts(9)], "onCancel": [fails()]}).run(1)
    assert world.label == "aborted"


def test_a_handler_whose_preconditions_are_not_met_is_skipped_without_effect() -> None:
    handlers = Handlers(init=Step(name="i", preconditions=TRUE), success=Step(name="s", preconditions=TRUE))
    world = World(dag(step("a"), handlers=handlers), conditions={"onInit": ("no",), "onSuccess": ("no",)}).run()
    assert (world.label, world.starts) == ("succeeded", [(0, "a")])
    assert [world.state.handlers[key].status.label for key in (INIT, SUCCESS)] == ["skipped", "skipped"]


def test_a_handler_whose_preconditions_hold_is_executed() -> None:
    handlers = Handlers(exit=Step(name="e", preconditions=TRUE))
    assert World(dag(step("a"), handlers=handlers)).run().handlers == ["onExit"]


@pytest.mark.parametrize("handler", ["onInit", "onExit"])
def test_files_that_cannot_be_opened_fail_the_handler_but_not_the_run(handler: str) -> None:
    outcome = Outcome(1, error="log cannot be opened", prepared=False)
    world = World(dag(step("a"), handlers=ALL), {handler: [outcome]}).run()
    assert world.state.handlers[INIT if handler == "onInit" else EXIT].status.label == "failed"
    assert (world.letters, world.label) == ("S", "succeeded")


def test_policies_of_a_handler_count_for_nothing() -> None:
    policies: dict[str, Any] = {
        "retry": Retry(limit=2, interval_seconds=0),
        "repeat": Repeat(mode="until", exit_codes=(0,)),
        "continue_on": ContinueOn(failure=True, mark_success=True),
    }
    world = World(dag(step("a"), handlers=Handlers(success=Step(name="s", **policies))), {"onSuccess": [fails()]})
    assert (world.run().starts, world.label) == ([(0, "a"), (0, "onSuccess")], "failed")


def test_a_handler_may_have_a_time_limit() -> None:
    handlers = Handlers(exit=Step(name="e", timeout_seconds=2))
    world = World(dag(step("a"), handlers=handlers), {"onExit": [lasts(60)]}).run()
    node = world.state.handlers[EXIT]
    assert (node.status.label, node.exit_code, world.label) == ("failed", 124, "failed")
    assert (world.sent(KillStep), world.state.error) == ([(2, "onExit kill")], node.error)


def test_a_handler_may_end_partially() -> None:
    world = World(dag(step("a"), handlers=ALL), {"onExit": [Outcome(partial=True)]}).run()
    assert world.state.handlers[EXIT].status.label == "partially_succeeded"


def test_handlers_that_are_not_needed_stay_untouched() -> None:
    world = World(dag(step("a"), handlers=ALL)).run()
    assert [world.state.handlers[key].status.label for key in (FAILURE, ABORT)] == ["not_started", "not_started"]


def test_counters_of_a_handler_stay_at_zero() -> None:
    node = World(dag(step("a"), handlers=ALL)).run().state.handlers[SUCCESS]
    assert (node.done_count, node.retry_count) == (0, 0)


def test_a_failing_init_handler_aborts_even_a_retry_with_nothing_left_to_do() -> None:
    definition = dag(step("a"), handlers=ALL)
    again = retry_state(Plan.of(definition), World(definition).run().state)
    world = World(definition, {"onInit": [fails()]}, state=again).run()
    assert (world.letters, world.label) == ("S", "aborted")
