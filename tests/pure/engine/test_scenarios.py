"""The scenario table of the runtime reference: which steps end how, and with them the run."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from dagbook.engine import rules
from dagbook.spec.model import Condition, ContinueOn, Dag, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import Outcome, World, dag, fails, lasts, step

HANDLERS = Handlers(success=Step(name="s"), failure=Step(name="f"), abort=Step(name="c"), exit=Step(name="e"))
INIT = Handlers(init=Step(name="i"), abort=Step(name="c"), exit=Step(name="e"))
TRUE = (Condition(condition="true"),)
LATE = Outcome(seconds=10)


class Row(NamedTuple):
    number: str
    definition: Dag
    script: dict[str, list[Outcome]]
    letters: str
    status: str
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to
    stop: tuple[float, ...] = ()


def tolerant(**fields: Any) -> ContinueOn:
    return ContinueOn(**fields)


NOT_MET = {"a": ("not met",), "b": ("not met",), "": ("not met",)}
CHAIN = (step("a"), step("b", "a"), step("c", "b"))
ROWS = [
    Row("1", dag(*CHAIN), {"a": [fails(3)]}, "FAA", "failed"),
    Row("2", dag(*CHAIN, step("d")), {"a": [fails(3)]}, "FAAS", "failed"),
    Row(
        "3",
        dag(step("a", continue_on=tolerant(failure=True)), step("b", "a")),
        {"a": [fails(3)]},
        "FS",
        "partially_succeeded",
    ),
    Row("4", dag(step("a", continue_on=tolerant(failure=True))), {"a": [fails(3)]}, "F", "failed"),
    Row(
        "5",
        dag(step("a", continue_on=tolerant(exit_codes=(3,), mark_success=True)), step("b", "a")),
        {"a": [fails(3)]},
        "SS",
        "succeeded",
    ),
    Row(
        "6",
        dag(step("a", preconditions=TRUE), step("b", "a"), step("c", "b")),
        {},
        "KKK",
        "succeeded",
        {"conditions": NOT_MET},
    ),
    Row(
        "7",
        dag(step("a", preconditions=TRUE, continue_on=tolerant(skipped=True)), step("b", "a")),
        {},
        "KS",
        "succeeded",
        {"conditions": NOT_MET},
    ),
    Row(
        "8",
        dag(step("a", continue_on=tolerant(failure=True)), step("b", "a", preconditions=TRUE)),
        {"a": [fails()]},
        "FK",
        "failed",
        {"conditions": NOT_MET},
    ),
    Row("9", dag(step("a"), step("b"), preconditions=TRUE), {}, "NN", "aborted", {"conditions": NOT_MET}),
    Row("10", dag(step("a"), handlers=INIT), {"onInit": [fails()]}, "N", "aborted"),
    Row("11", dag(step("a"), handlers=HANDLERS), {"onSuccess": [fails()]}, "S", "failed"),
    Row("12", dag(step("a"), step("b", "a"), timeout_seconds=2), {"a": [LATE]}, "AA", "failed"),
    Row(
        "13",
        dag(step("a", timeout_seconds=1, continue_on=tolerant(exit_codes=(124,))), step("b", "a")),
        {"a": [LATE]},
        "FS",
        "partially_succeeded",
    ),
    Row(
        "14",
        dag(step("a", timeout_seconds=1, retry=Retry(limit=3, interval_seconds=1))),
        {"a": [LATE]},
        "F",
        "failed",
    ),
    Row(
        "16",
        dag(step("a", retry=Retry(limit=3, interval_seconds=0))),
        {"a": [fails(), fails()]},
        "S",
        "succeeded",
    ),
    Row(
        "17",
        dag(step("a", retry=Retry(limit=3, interval_seconds=0, exit_codes=(1,)))),
        {"a": [fails(2)]},
        "F",
        "failed",
    ),
    Row(
        "18",
        dag(step("a", repeat=Repeat(mode="until", exit_codes=(0,)))),
        {"a": [fails(), fails()]},
        "S",
        "succeeded",
    ),
    Row("19", dag(step("a", repeat=Repeat(mode="while", exit_codes=(0,), limit=3))), {}, "S", "succeeded"),
    Row(
        "20",
        dag(step("a", repeat=Repeat(mode="while"))),
        {"a": [Outcome(), Outcome(), fails()]},
        "F",
        "failed",
    ),
    Row("21", dag(step("a"), step("b", "a")), {"a": [LATE]}, "AN", "aborted", {}, (1,)),
    Row("22", dag(step("a", repeat=Repeat(mode="while"))), {"a": [lasts(2)]}, "S", "succeeded", {}, (1,)),
    Row("23 more", dag(step("a")), {"a": [Outcome(0, error="output too large")]}, "F", "failed"),
    Row("31", dag(step("a"), step("b", "a")), {"a": [Outcome(partial=True)]}, "PS", "partially_succeeded"),
    Row("32", dag(step("a")), {"a": [Outcome(0, error="the sub-DAG run was aborted")]}, "F", "failed"),
    Row(
        "50 skipped first",
        dag(step("sk", preconditions=TRUE), step("fa"), step("x", "sk", "fa")),
        {"fa": [fails(1, 1)]},
        "KFK",
        "failed",
        {"conditions": {"sk": ("not met",)}},
    ),
    Row(
        "50 failed first",
        dag(step("w"), step("sk", "w", preconditions=TRUE), step("fa"), step("x", "sk", "fa")),
        {"w": [lasts(1)], "fa": [fails()]},
        "SKFA",
        "failed",
        {"conditions": {"sk": ("not met",)}},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_each_row_of_the_scenario_table_ends_as_it_says(row: Row) -> None:
    world = World(row.definition, row.script, **row.options).run(*row.stop)
    assert (world.letters, world.label) == (row.letters, row.status)
    assert world.state.finished_at is not None


def test_only_direct_dependents_of_a_failure_say_why_they_did_not_run() -> None:
    world = World(dag(*CHAIN), {"a": [fails(3)]}).run()
    assert [node.error for node in world.state.steps] == ["exit status 3", rules.UPSTREAM_FAILED, ""]


@pytest.mark.parametrize("order", ["abcd", "acbd", "cbad"])
@pytest.mark.parametrize("depends", [("a", "b"), ("b", "a")])
def test_a_step_below_a_failed_and_an_aborted_one_says_that_a_step_failed(depends: tuple[str, ...], order: str) -> None:
    steps = {"a": step("a"), "b": step("b", "a"), "c": step("c", *depends), "d": step("d", "c")}
    world = World(dag(*(steps[name] for name in order)), {"a": [fails(3)]}).run()
    assert [world.node(name).status.label for name in "abcd"] == ["failed", "aborted", "aborted", "aborted"]
    assert [world.node(name).error for name in "bcd"] == [rules.UPSTREAM_FAILED, rules.UPSTREAM_FAILED, ""]


def test_a_run_without_steps_whose_precondition_does_not_hold_succeeds_and_begins_no_init_handler() -> None:
    ends = Handlers(init=Step(name="i"), success=Step(name="s"), abort=Step(name="x"), exit=Step(name="e"))
    world = World(dag(handlers=ends, preconditions=TRUE), conditions={"": ("not met",)}).run()
    assert (world.label, world.handlers) == ("succeeded", ["onSuccess", "onExit"])


def test_a_run_without_steps_whose_init_handler_fails_has_failed() -> None:
    ends = Handlers(init=Step(name="i"), failure=Step(name="f"), abort=Step(name="x"))
    world = World(dag(handlers=ends), {"onInit": [fails(3)]}).run()
    assert (world.label, world.handlers) == ("failed", ["onInit", "onFailure"])
