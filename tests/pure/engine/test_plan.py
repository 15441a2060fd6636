"""What an attempt starts from: a fresh plan, a retry of what went wrong, a retry of one step."""

from __future__ import annotations

import msgspec
import pytest

from dagbook.engine import plan as plans
from dagbook.engine import rules
from dagbook.engine.event import ABORT, EXIT, FAILURE, INIT, SUCCESS
from dagbook.engine.plan import Plan
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NodeStatus
from dagbook.spec.model import Condition, ContinueOn, Dag, Handlers, Step
from tests.pure.engine.world import LETTERS, World, dag, fails, lasts, step

STATUSES = {letter: status for status, letter in LETTERS.items()}
CHAIN = dag(step("a"), step("b", "a"), step("c", "b"))
DIAMOND = dag(step("d", "b", "c"), step("b", "a"), step("c", "a"), step("a"))
PAIR = dag(step("a"), step("b"))


def ended(definition: Dag, letters: str) -> RunState:
    nodes = tuple(NodeState(status=STATUSES[letter], done_count=1) for letter in letters)
    return msgspec.structs.replace(plans.initial_state(Plan.of(definition)), steps=nodes, phase=Phase.CLOSED)


def retry(definition: Dag, letters: str, again: str | None = None) -> str:
    plan = Plan.of(definition)
    key = None if again is None else plan.step_key(again)
    return "".join(LETTERS[node.status] for node in plans.retry_state(plan, ended(definition, letters), key).steps)


def test_a_fresh_run_knows_its_steps_and_the_handlers_that_are_defined() -> None:
    state = plans.initial_state(Plan.of(dag(step("a"), step("b"), handlers=Handlers(exit=Step(name="e")))))
    assert (len(state.steps), list(state.handlers), state.phase) == (2, [EXIT], Phase.NEW)


def test_every_handler_has_its_key() -> None:
    steps = {name: Step(name=name) for name in ("init", "success", "failure", "abort", "exit")}
    plan = Plan.of(dag(handlers=Handlers(**steps)))
    assert [plan.step(key).name for key in (INIT, SUCCESS, FAILURE, ABORT, EXIT)] == list(steps)


def test_a_dependency_listed_twice_is_one() -> None:
    assert Plan.of(dag(step("a"), step("b", "a", "a"))).depends == ((), (0,))


@pytest.mark.parametrize(("name", "key"), [("b", 1), ("x", None)])
def test_steps_are_found_by_name(name: str, key: int | None) -> None:
    assert Plan.of(CHAIN).step_key(name) == key


@pytest.mark.parametrize(
    ("definition", "before", "after"),
    [
        (CHAIN, "SFA", "SNN"),
        (CHAIN, "SSS", "SSS"),
        (CHAIN, "KKK", "KKK"),
        (CHAIN, "ANN", "NNN"),
        (CHAIN, "FSS", "NNN"),
        (CHAIN, "SSN", "SSN"),
        (CHAIN, "SRN", "SNN"),
        (DIAMOND, "AFSS", "NNSS"),
        (DIAMOND, "SSSF", "NNNN"),
        (PAIR, "SF", "SN"),
        (PAIR, "PF", "PN"),
    ],
)
def test_a_retry_resets_what_went_wrong_and_all_below_it(definition: Dag, before: str, after: str) -> None:
    assert retry(definition, before) == after


@pytest.mark.parametrize(
    ("definition", "before", "again", "after"),
    [(CHAIN, "SFA", "b", "SNA"), (CHAIN, "SSS", "a", "NSS"), (PAIR, "FF", "a", "NF")],
)
def test_the_retry_of_one_step_resets_that_step_alone(definition: Dag, before: str, again: str, after: str) -> None:
    assert retry(definition, before, again) == after


def test_kept_nodes_keep_everything_and_reset_ones_nothing() -> None:
    first = World(CHAIN, {"a": [lasts(3)], "b": [fails()]}).run().state
    again = plans.retry_state(Plan.of(CHAIN), first)
    assert again.steps[0] is first.steps[0]
    assert again.steps[1:] == (NodeState(), NodeState())
    assert (again.error, again.outcome, again.started_at) == ("", None, None)


def test_a_step_set_to_not_started_by_hand_keeps_nothing() -> None:
    first = World(CHAIN).run().state
    edited = msgspec.structs.replace(first.steps[2], status=NodeStatus.NOT_STARTED)
    again = plans.retry_state(Plan.of(CHAIN), msgspec.structs.replace(first, steps=(*first.steps[:2], edited)))
    assert again.steps == (*first.steps[:2], NodeState())


def second_try(definition: Dag, first: RunState, again: str | None = None) -> World:
    plan = Plan.of(definition)
    state = plans.retry_state(plan, first, None if again is None else plan.step_key(again))
    return World(definition, state=state).run()


def test_a_retry_of_a_succeeded_run_executes_nothing() -> None:
    handlers = Handlers(init=Step(name="i"), success=Step(name="s"), exit=Step(name="e"))
    definition = dag(step("a"), step("b", "a"), handlers=handlers)
    world = second_try(definition, World(definition).run().state)
    assert (world.handlers, len(world.starts), world.label) == (["onInit", "onSuccess", "onExit"], 3, "succeeded")


def test_a_retry_with_nothing_at_all_to_do_is_seen_running_first() -> None:
    world = second_try(PAIR, World(PAIR).run().state)
    assert [state.status.label for state in world.states] == ["not_started", "running", "succeeded"]


def test_a_retry_goes_on_where_the_run_went_wrong() -> None:
    world = second_try(CHAIN, World(CHAIN, {"b": [fails()]}).run().state)
    assert (world.starts, world.letters, world.label) == ([(0, "b"), (0, "c")], "SSS", "succeeded")


def test_a_step_edited_to_failed_runs_again_with_its_descendants() -> None:
    first = World(CHAIN).run().state
    edited = msgspec.structs.replace(first.steps[1], status=NodeStatus.FAILED)
    world = second_try(CHAIN, msgspec.structs.replace(first, steps=(first.steps[0], edited, first.steps[2])))
    assert (world.starts, world.letters) == ([(0, "b"), (0, "c")], "SSS")


def test_a_step_edited_to_succeeded_lets_the_retry_go_on_behind_it() -> None:
    first = World(CHAIN, {"a": [fails()]}).run().state
    edited = msgspec.structs.replace(first.steps[0], status=NodeStatus.SUCCEEDED)
    world = second_try(CHAIN, msgspec.structs.replace(first, steps=(edited, *first.steps[1:])))
    assert (world.starts, world.letters) == ([(0, "b"), (0, "c")], "SSS")


@pytest.mark.parametrize(
    ("tolerant", "letters", "error"),
    [(False, "NKKK", rules.UPSTREAM_SKIPPED), (True, "NSSS", "")],
    ids=["not tolerated", "tolerated"],
)
def test_a_step_edited_to_skipped_counts_as_skipped_in_the_retry(tolerant: bool, letters: str, error: str) -> None:
    steps = (step("c", "b"), step("b", "a"), step("d", "c"))
    definition = dag(step("a", continue_on=ContinueOn(skipped=tolerant)), *steps)
    first = ended(definition, "KNNN")
    world = second_try(definition, first)
    assert world.letters == "K" + letters[1:]
    assert {node.error for node in world.state.steps[1:]} == {error}


def test_one_retried_step_does_not_hide_another_failure() -> None:
    first = World(PAIR, {"a": [fails()], "b": [fails()]}).run().state
    world = second_try(PAIR, first, "a")
    assert (world.letters, world.label, world.starts) == ("SF", "failed", [(0, "a")])


def test_dependents_of_one_retried_step_keep_their_state_and_the_run_its_status() -> None:
    first = World(CHAIN, {"b": [fails()]}).run().state
    world = second_try(CHAIN, first, "b")
    assert (world.letters, world.label, world.starts) == ("SSA", "failed", [(0, "b")])


def test_one_retried_step_whose_dependency_failed_is_not_run() -> None:
    first = World(CHAIN, {"a": [fails()]}).run().state
    world = second_try(CHAIN, first, "b")
    assert (world.letters, world.label, world.starts) == ("FAA", "failed", [])
    assert world.node("b").error == rules.UPSTREAM_FAILED


def test_one_retried_step_whose_dependency_never_ran_is_left_alone() -> None:
    first = World(CHAIN, {"a": [lasts(9)]}).run(1).state
    first = msgspec.structs.replace(first, steps=(NodeState(), *first.steps[1:]))
    world = second_try(CHAIN, first, "b")
    assert (world.letters, world.label, world.starts) == ("NNN", "aborted", [])


def test_a_time_limit_ends_only_the_step_that_is_retried() -> None:
    definition = dag(step("a"), step("b"), timeout_seconds=2, handlers=Handlers(init=Step(name="i")))
    first = World(definition, {"onInit": [fails()]}).run().state
    world = World(definition, {"onInit": [lasts(3)]}, state=plans.retry_state(Plan.of(definition), first, 0)).run()
    assert (world.letters, world.label) == ("AN", "failed")


def test_a_stop_of_a_retry_with_everything_done_changes_nothing() -> None:
    definition = dag(step("a"), preconditions=(Condition(condition="true"),))
    first = World(definition).run().state
    again = World(definition, state=plans.retry_state(Plan.of(definition), first))
    assert again.run(0).label == "succeeded"


def test_steps_that_wait_for_each_other_fail_the_run() -> None:
    world = World(dag(step("a", "b"), step("b", "a"), step("c"))).run()
    assert (world.letters, world.label) == ("NNS", "failed")
    assert "wait for each other" in world.state.error
