"""Stop requests: in every phase, against everything a step may be doing."""

from __future__ import annotations

import pytest

from dagbook.engine.action import CheckConditions, CheckRepeat, CloseRun, KillStep, SignalStep
from dagbook.engine.event import EXIT, INIT, RunStarted, StopRequested
from dagbook.engine.state import Phase
from dagbook.spec.model import Condition, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import LETTERS, Outcome, World, dag, fails, lasts, step

TRUE = (Condition(condition="true"),)
ENDS = Handlers(init=Step(name="i"), abort=Step(name="c"), exit=Step(name="e"))
LONG = lasts(60)
DEAF = Outcome(seconds=60, ignores_signals=True)
WHILE = Repeat(mode="while", interval_seconds=30)


def test_a_stop_before_the_beginning_starts_nothing() -> None:
    world = World(dag(step("a"), handlers=ENDS, preconditions=TRUE))
    world.deliver(StopRequested())
    world.deliver(RunStarted())
    assert [action for _, action in world.actions] == [CloseRun(status=world.state.status)]
    assert (world.label, world.letters, world.state.phase) == ("aborted", "N", Phase.CLOSED)


def test_a_stop_ends_what_runs_and_leaves_what_waits_unstarted() -> None:
    world = World(dag(step("a"), step("b", "a"), step("c"), handlers=ENDS), {"a": [LONG], "c": [LONG]}).run(2)
    assert (world.letters, world.label) == ("ANA", "aborted")
    assert world.sent(SignalStep) == [(2, "a SIGTERM"), (2, "c SIGTERM")]
    assert world.handlers == ["onInit", "onCancel", "onExit"]


def test_a_step_may_choose_its_first_signal() -> None:
    patient = dag(step("a", signal_on_stop="SIGINT"), max_clean_up_seconds=12)
    world = World(patient, {"a": [DEAF]}).run(1)
    assert world.sent(SignalStep) == [(1, "a SIGINT"), (6, "a SIGTERM"), (11, "a SIGTERM")]


def test_a_step_that_ignores_the_signal_is_killed_after_the_clean_up_time() -> None:
    world = World(dag(step("a"), max_clean_up_seconds=3), {"a": [DEAF]}).run(1)
    assert (world.sent(KillStep), world.letters, world.elapsed) == ([(4, "a kill")], "A", 60)
    assert world.state.finished_at == world.state.killed_at


def test_without_clean_up_time_everything_is_killed_at_once() -> None:
    world = World(dag(step("a"), max_clean_up_seconds=0), {"a": [DEAF]}).run(1)
    assert world.sent(KillStep) == [(1, "a kill")]


def test_a_stop_at_once_grants_no_clean_up_time() -> None:
    world = World(dag(step("a"), handlers=ENDS, max_clean_up_seconds=60), {"a": [DEAF]})
    world.later(1, StopRequested(at_once=True))
    world.run()
    assert (world.sent(KillStep), world.label) == ([(1, "a kill")], "aborted")
    assert world.handlers == ["onInit", "onCancel", "onExit"]


def test_a_stop_at_once_ends_a_stop_that_waits() -> None:
    world = World(dag(step("a"), max_clean_up_seconds=60), {"a": [DEAF]})
    world.later(2, StopRequested(at_once=True))
    world.run(1)
    assert world.sent(KillStep) == [(2, "a kill")]


def test_a_stop_at_once_ends_a_handler_without_an_earlier_request() -> None:
    world = World(dag(step("a"), handlers=Handlers(exit=Step(name="e"))), {"onExit": [DEAF]})
    world.later(1, StopRequested(at_once=True))
    world.run()
    assert world.sent(KillStep) == [(1, "onExit kill")]


def test_a_stopped_step_runs_until_its_processes_are_gone() -> None:
    world = World(dag(step("a"), max_clean_up_seconds=3), {"a": [DEAF]}).run(1)
    asked = next(state for state in world.states if state.cancelled)
    assert LETTERS[asked.steps[0].status] == "R"


@pytest.mark.parametrize(("code", "error"), [(0, ""), (-1, "signal: terminated"), (3, "signal: terminated")])
def test_a_stopped_step_is_aborted_whatever_it_exits_with(code: int, error: str) -> None:
    world = World(dag(step("a")), {"a": [Outcome(seconds=60, on_signal=code)]}).run(1)
    node = world.node("a")
    assert (node.status.label, node.error, node.exit_code, node.done_count) == ("aborted", error, code, 0)


def test_a_repeating_step_finishes_what_it_does() -> None:
    world = World(dag(step("a", repeat=WHILE), max_clean_up_seconds=9), {"a": [lasts(6)]}).run(1)
    assert (world.sent(SignalStep, KillStep), world.letters, world.label) == ([], "S", "succeeded")
    assert len(world.starts) == 1


def test_a_repeating_step_is_killed_after_the_clean_up_time() -> None:
    world = World(dag(step("a", repeat=WHILE), max_clean_up_seconds=2), {"a": [LONG]}).run(1)
    assert (world.sent(SignalStep, KillStep), world.letters, world.label) == ([(3, "a kill")], "A", "aborted")


def test_a_failure_after_a_stop_is_not_tried_again() -> None:
    both = step("a", repeat=WHILE, retry=Retry(limit=5, interval_seconds=0))
    world = World(dag(both), {"a": [fails(1, 2)]}).run(1)
    assert (len(world.starts), world.letters, world.label) == (1, "F", "aborted")


def test_a_wait_for_a_retry_is_interrupted() -> None:
    world = World(dag(step("a", retry=Retry(limit=1, interval_seconds=60))), {"a": [fails()]}).run(1)
    assert (world.letters, world.label, world.elapsed) == ("A", "aborted", 1)
    assert world.node("a").retry_count == 1


@pytest.mark.parametrize(
    ("repeat", "outcome", "letter", "label"),
    [
        (WHILE, Outcome(), "S", "succeeded"),
        (WHILE, Outcome(partial=True), "P", "partially_succeeded"),
        (Repeat(mode="until", exit_codes=(0,), interval_seconds=60), fails(), "F", "aborted"),
    ],
)
def test_a_wait_for_a_repetition_ends_with_the_last_result(
    repeat: Repeat, outcome: Outcome, letter: str, label: str
) -> None:
    world = World(dag(step("a", repeat=repeat)), {"a": [outcome]}).run(1)
    assert (world.letters, world.label, world.elapsed) == (letter, label, 1)


def test_a_stop_does_not_wait_for_the_preconditions_of_the_run() -> None:
    world = World(dag(step("a"), preconditions=TRUE, handlers=ENDS), mute=(CheckConditions,)).run(1)
    assert (world.handlers, world.letters, world.label) == (["onCancel", "onExit"], "N", "aborted")


def test_a_stop_does_not_wait_for_the_preconditions_of_a_step() -> None:
    world = World(dag(step("a", preconditions=TRUE)), mute=(CheckConditions,)).run(1)
    assert (world.letters, world.label, world.sent(KillStep)) == ("A", "aborted", [(1, "a kill")])


def test_a_stop_does_not_wait_for_the_condition_of_a_repetition() -> None:
    repeat = Repeat(mode="while", condition=TRUE[0])
    world = World(dag(step("a", repeat=repeat)), mute=(CheckRepeat,)).run(1)
    assert (world.letters, world.label, world.sent(KillStep)) == ("S", "succeeded", [(1, "a kill")])


def test_a_stop_ends_the_init_handler() -> None:
    world = World(dag(step("a"), handlers=ENDS), {"onInit": [LONG]}).run(1)
    assert (world.sent(SignalStep), world.handlers) == ([(1, "onInit SIGTERM")], ["onInit", "onCancel", "onExit"])
    assert (world.state.handlers[INIT].status.label, world.letters, world.label) == ("aborted", "N", "aborted")


def test_a_stop_does_not_wait_for_the_preconditions_of_the_init_handler() -> None:
    handlers = Handlers(init=Step(name="i", preconditions=TRUE))
    world = World(dag(step("a"), handlers=handlers), mute=(CheckConditions,)).run(1)
    assert (world.state.handlers[INIT].status.label, world.label) == ("aborted", "aborted")


def test_an_init_handler_that_ignores_the_signal_is_killed() -> None:
    world = World(dag(step("a"), handlers=ENDS), {"onInit": [DEAF]}).run(1)
    assert (world.sent(KillStep), world.label) == ([(6, "onInit kill")], "aborted")


def test_the_first_stop_during_handlers_changes_nothing() -> None:
    world = World(dag(step("a"), handlers=ENDS), {"onExit": [lasts(4)]}).run(1)
    assert (world.sent(SignalStep, KillStep), world.label, world.elapsed) == ([], "succeeded", 4)


def test_the_second_stop_during_handlers_kills_the_handler_and_keeps_the_status() -> None:
    world = World(dag(step("a"), handlers=ENDS), {"onExit": [LONG]}).run(1, 2)
    assert (world.sent(SignalStep, KillStep), world.label) == ([(2, "onExit kill")], "succeeded")
    assert world.state.handlers[EXIT].status.label == "aborted"


def test_after_a_stopped_run_one_more_stop_kills_the_handler() -> None:
    world = World(dag(step("a"), handlers=ENDS), {"a": [LONG], "onCancel": [LONG]}).run(1, 2)
    assert (world.sent(KillStep), world.label) == ([(2, "onCancel kill")], "aborted")
    assert world.handlers == ["onInit", "onCancel", "onExit"]


def test_the_second_stop_ends_a_handler_whose_conditions_are_being_checked() -> None:
    handlers = Handlers(exit=Step(name="e", preconditions=TRUE))
    world = World(dag(step("a"), handlers=handlers), mute=(CheckConditions,)).run(1, 2)
    assert (world.state.handlers[EXIT].status.label, world.label) == ("aborted", "succeeded")


def test_more_stops_while_steps_end_change_nothing() -> None:
    once = World(dag(step("a"), max_clean_up_seconds=3), {"a": [DEAF]}).run(1)
    often = World(dag(step("a"), max_clean_up_seconds=3), {"a": [DEAF]}).run(1, 2, 3)
    assert once.state == often.state


def test_a_signal_that_met_no_process_is_sent_again_when_there_is_one() -> None:
    world = World(
        dag(step("a", signal_on_stop="SIGINT"), max_clean_up_seconds=60),
        {"a": [Outcome(start_delay=3, ignores_signals=True)]},
    )
    assert world.run(1).sent(SignalStep) == [(1, "a SIGINT"), (3, "a SIGINT")]


def test_a_kill_that_met_no_process_is_sent_again_when_there_is_one() -> None:
    world = World(dag(step("a"), timeout_seconds=1), {"a": [Outcome(start_delay=3)]}, mute=(KillStep,)).run()
    assert world.sent(KillStep) == [(1, "a kill"), (3, "a kill")]


def test_a_stopped_step_that_runs_out_of_time_is_still_aborted() -> None:
    hasty = dag(step("a", timeout_seconds=3), max_clean_up_seconds=60)
    world = World(hasty, {"a": [DEAF]}).run(1)
    assert (world.sent(KillStep), world.letters) == ([(3, "a kill")], "A")


def test_a_step_that_was_out_of_time_before_the_stop_stays_failed() -> None:
    world = World(dag(step("a", timeout_seconds=1)), {"a": [lasts(4)]}, mute=(KillStep,)).run(2)
    assert (world.letters, world.label, world.sent(SignalStep)) == ("F", "aborted", [])


def test_a_stop_finishes_no_dependents() -> None:
    world = World(dag(step("a"), step("b", "a"), step("c", "b")), {"a": [LONG]}).run(1)
    assert world.letters == "ANN"


def test_the_signal_is_not_repeated_to_a_step_that_may_finish() -> None:
    both = dag(step("a", repeat=WHILE), step("b"), max_clean_up_seconds=7)
    world = World(both, {"a": [LONG], "b": [DEAF]}).run(1)
    assert world.sent(SignalStep) == [(1, "b SIGTERM"), (6, "b SIGTERM")]
    assert world.sent(KillStep) == [(8, "a kill"), (8, "b kill")]


def test_a_step_that_is_being_killed_already_is_left_to_that() -> None:
    both = dag(step("a", timeout_seconds=1), step("b"), max_clean_up_seconds=7)
    world = World(both, {"a": [lasts(20)], "b": [DEAF]}, mute=(KillStep,)).run(2)
    assert world.sent(SignalStep, KillStep) == [(1, "a kill"), (2, "b SIGTERM"), (7, "b SIGTERM"), (9, "b kill")]
