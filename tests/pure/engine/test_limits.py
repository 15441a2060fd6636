"""Time limits of steps and of runs."""

from __future__ import annotations

import pytest

from dagbook.engine.action import CheckConditions, KillStep
from dagbook.engine.event import TimerFired
from dagbook.engine.rules import RUN_LIMIT_REACHED, UPSTREAM_FAILED
from dagbook.spec.model import Condition, ContinueOn, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import LETTERS, Outcome, World, dag, fails, lasts, step

LONG = lasts(60)
TRUE = (Condition(condition="true"),)


def test_a_step_out_of_time_is_killed_and_fails_with_124() -> None:
    world = World(dag(step("a", timeout_seconds=3)), {"a": [LONG]}).run()
    node = world.node("a")
    assert (world.sent(KillStep), node.exit_code, node.done_count) == ([(3, "a kill")], 124, 1)
    assert node.error == "ended after 3.000 s: the step's time limit is 3 s"


def test_a_killed_step_runs_until_its_processes_are_gone() -> None:
    world = World(dag(step("a", timeout_seconds=3)), {"a": [LONG]}).run()
    assert [state.steps[0].kill for state in world.states if state.steps[0].kill] == ["step_timeout"]
    killed = next(state.steps[0] for state in world.states if state.steps[0].kill)
    assert LETTERS[killed.status] == "R"


def test_the_clock_of_a_step_starts_with_its_process() -> None:
    world = World(dag(step("a", timeout_seconds=3)), {"a": [Outcome(seconds=2, start_delay=10)]}).run()
    assert (world.letters, world.elapsed) == ("S", 12)


def test_each_execution_has_the_whole_limit() -> None:
    again = step("a", timeout_seconds=3, retry=Retry(limit=1, interval_seconds=0))
    world = World(dag(again), {"a": [fails(1, 2), lasts(2)]}).run()
    assert world.letters == "S"


def test_a_failure_after_the_limit_is_late_even_if_the_timer_fires_later() -> None:
    world = World(dag(step("a", timeout_seconds=3, retry=Retry(limit=1, interval_seconds=0))), {"a": [fails(1, 3)]})
    assert world.run().node("a").exit_code == 124


def test_a_success_just_in_time_counts() -> None:
    assert World(dag(step("a", timeout_seconds=3)), {"a": [lasts(3)]}).run().letters == "S"


@pytest.mark.parametrize(
    ("tolerant", "letters", "label"),
    [
        (ContinueOn(failure=True), "FS", "partially_succeeded"),
        (ContinueOn(exit_codes=(124,)), "FS", "partially_succeeded"),
        (ContinueOn(exit_codes=(-1,)), "FA", "failed"),
        (ContinueOn(failure=True, mark_success=True), "SS", "succeeded"),
    ],
)
def test_a_step_out_of_time_may_be_tolerated(tolerant: ContinueOn, letters: str, label: str) -> None:
    world = World(dag(step("a", timeout_seconds=1, continue_on=tolerant), step("b", "a")), {"a": [LONG]}).run()
    assert (world.letters, world.label) == (letters, label)


def test_a_run_out_of_time_ends_everything_and_runs_its_handlers() -> None:
    handlers = Handlers(failure=Step(name="f"), abort=Step(name="c"), exit=Step(name="e"))
    world = World(
        dag(step("a"), step("b", "a"), step("c"), timeout_seconds=5, max_active_steps=1, handlers=handlers),
        {"a": [LONG], "onFailure": [lasts(60)]},
    ).run()
    assert (world.letters, world.label, world.state.error) == ("AAA", "failed", RUN_LIMIT_REACHED)
    assert world.starts == [(0, "a"), (5, "onFailure"), (65, "onExit")]


def test_a_step_with_a_limit_of_its_own_fails_when_the_run_is_out_of_time() -> None:
    world = World(dag(step("a", timeout_seconds=9), timeout_seconds=3), {"a": [LONG]}).run()
    node = world.node("a")
    assert (world.letters, world.label, node.exit_code) == ("F", "failed", 124)
    assert node.error == "ended after 3.000 s: the step's time limit is 9 s"


@pytest.mark.parametrize(
    ("tolerant", "letters", "errors"),
    [
        (ContinueOn(), "FAA", [UPSTREAM_FAILED, ""]),
        (ContinueOn(failure=True), "FAA", [RUN_LIMIT_REACHED, ""]),
    ],
    ids=["failed", "tolerated"],
)
def test_what_waits_for_a_step_that_failed_with_the_run_s_limit_says_so(
    tolerant: ContinueOn, letters: str, errors: list[str]
) -> None:
    first = step("a", timeout_seconds=9, continue_on=tolerant)
    world = World(dag(first, step("b", "a"), step("c", "b"), timeout_seconds=3), {"a": [LONG]}).run()
    assert (world.letters, world.label) == (letters, "failed")
    assert [world.node("b").error, world.node("c").error] == errors


def test_ready_steps_and_their_dependents_end_with_the_run() -> None:
    steps = (step("a"), step("b"), step("c", "b"))
    world = World(dag(*steps, max_active_steps=1, timeout_seconds=3), {"a": [LONG]}).run()
    assert [world.letters, world.node("b").error, world.node("c").error] == ["AAA", RUN_LIMIT_REACHED, ""]


def test_a_tolerated_failure_does_not_save_a_run_out_of_time() -> None:
    steps = (step("a", continue_on=ContinueOn(failure=True)), step("b", "a"), step("c", "b"))
    world = World(dag(*steps, timeout_seconds=3), {"a": [fails()], "c": [LONG]}).run()
    assert (world.letters, world.label) == ("FSA", "failed")


@pytest.mark.parametrize(
    "waiting",
    [
        step("a", retry=Retry(limit=1, interval_seconds=60)),
        step("a", repeat=Repeat(mode="until", exit_codes=(0,), interval_seconds=60)),
    ],
    ids=["retry", "repetition"],
)
def test_waits_end_with_the_run(waiting: Step) -> None:
    world = World(dag(waiting, timeout_seconds=3), {"a": [fails()]}).run()
    assert (world.letters, world.label, world.elapsed) == ("A", "failed", 3)


def test_a_wait_after_a_success_ends_with_the_run_and_says_why() -> None:
    world = World(dag(step("a", repeat=Repeat(mode="while", interval_seconds=60)), timeout_seconds=3)).run()
    assert (world.letters, world.node("a").error, world.node("a").done_count) == ("A", RUN_LIMIT_REACHED, 1)


def test_a_run_out_of_time_does_not_wait_for_preconditions() -> None:
    world = World(dag(step("a"), preconditions=TRUE, timeout_seconds=3), mute=(CheckConditions,)).run()
    assert (world.letters, world.label, world.elapsed) == ("A", "failed", 3)


def test_conditions_of_a_step_end_with_the_run() -> None:
    world = World(dag(step("a", preconditions=TRUE), timeout_seconds=3), mute=(CheckConditions,)).run()
    assert (world.letters, world.sent(KillStep)) == ("A", [(3, "a kill")])


def test_the_init_handler_may_use_up_the_time_of_the_run() -> None:
    world = World(
        dag(step("a"), timeout_seconds=3, handlers=Handlers(init=Step(name="i"))), {"onInit": [lasts(4)]}
    ).run()
    assert (world.starts, world.letters, world.label) == ([(0, "onInit")], "A", "failed")


def test_a_pause_between_launches_ends_with_the_run() -> None:
    world = World(dag(step("a"), step("b"), delay_seconds=60, timeout_seconds=3)).run()
    assert (world.letters, world.label, world.elapsed) == ("SA", "failed", 3)


def test_the_earlier_error_stays_the_error_of_a_run_out_of_time() -> None:
    world = World(dag(step("a"), step("b"), timeout_seconds=3), {"a": [fails(7)], "b": [Outcome(0, 60)]})
    world.later(3, TimerFired())
    states = world.run().states
    assert next(state.error for state in states if state.timed_out) == "exit status 7"


def test_a_step_that_is_being_killed_is_not_killed_again_with_the_run() -> None:
    world = World(dag(step("a", timeout_seconds=1), timeout_seconds=2), {"a": [lasts(4)]}, mute=(KillStep,)).run()
    assert (world.sent(KillStep), world.letters) == ([(1, "a kill")], "F")


def test_an_execution_that_never_began_is_still_killed_with_the_run() -> None:
    world = World(dag(step("a", timeout_seconds=9), timeout_seconds=2), {"a": [Outcome(start_delay=60)]}).run()
    assert (world.sent(KillStep), world.node("a").exit_code) == ([(2, "a kill")], 124)
    assert world.node("a").error == "ended after 0.000 s: the step's time limit is 9 s"
