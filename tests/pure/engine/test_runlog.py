"""The run log, rendered from the history."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dagbook.engine.history import Change, Line, changes, describe
from dagbook.spec.model import Condition, Dag, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import Outcome, World, dag, fails, lasts, step

CONDITION = Condition(condition="true")


def log(world: World) -> list[Line]:
    return [
        line
        for before, after in pairwise(world.states)
        for change in changes(before, after)
        for line in describe(world.plan.dag, change, after.error)
    ]


def messages(world: World) -> list[str]:
    return [
        line.message + (f" [{line.attributes['step']}]" if "step" in line.attributes else "") for line in log(world)
    ]


def test_a_plain_run_is_logged_from_start_to_finish() -> None:
    world = World(dag(step("a"), handlers=Handlers(exit=Step(name="e")))).run()
    assert messages(world) == [
        "run started",
        "step started [a]",
        "step finished [a]",
        "handler started [onExit]",
        "handler finished [onExit]",
        "run finished",
    ]


def test_a_failed_run_says_why_at_its_end() -> None:
    world = World(dag(step("a"), step("b", "a")), {"a": [fails(3)]}).run()
    assert log(world)[-2:] == [
        Line("INFO", "run finished", {"status": "failed"}),
        Line("ERROR", "run failed", {"err": "exit status 3"}),
    ]


def test_a_failed_step_is_an_error_and_says_its_code() -> None:
    lines = log(World(dag(step("a")), {"a": [fails(3)]}).run())
    assert (
        Line("ERROR", "step finished", {"step": "a", "status": "failed", "exit-code": 3, "err": "exit status 3"})
        in lines
    )


def test_a_step_that_is_never_run_says_so() -> None:
    assert "step is not run [b]" in messages(World(dag(step("a"), step("b", "a")), {"a": [fails()]}).run())


def test_a_retry_is_logged_with_its_reason_and_time() -> None:
    lines = log(World(dag(step("a", retry=Retry(limit=1, interval_seconds=2))), {"a": [fails(7)]}).run())
    assert (
        Line(
            "INFO",
            "step failed and will be retried",
            {"step": "a", "until": "2026-03-01T12:00:02Z", "err": "exit status 7", "retry": 1, "exit-code": 7},
        )
        in lines
    )
    assert Line("INFO", "step executed again", {"step": "a", "execution": 2}) in lines


@pytest.mark.parametrize(
    ("definition", "script", "options", "stops", "expected"),
    [
        (dag(step("a", repeat=Repeat(mode="while", limit=2))), {}, {}, (), "step will be repeated [a]"),
        (
            dag(step("a", repeat=Repeat(mode="until", condition=CONDITION))),
            {},
            {"repeats": {"a": [True]}},
            (),
            "repeat condition is being checked [a]",
        ),
        (dag(step("a", preconditions=(CONDITION,))), {}, {}, (), "preconditions are being checked [a]"),
        (
            dag(step("a", preconditions=(CONDITION,))),
            {},
            {"conditions": {"a": ("no",)}},
            (),
            "preconditions of the step are not met [a]",
        ),
        (
            dag(step("a"), preconditions=(CONDITION,)),
            {},
            {"conditions": {"": ("no",)}},
            (),
            "preconditions of the run are not met",
        ),
        (dag(step("a")), {"a": [lasts(9)]}, {}, (1,), "stop requested"),
        (
            dag(step("a"), max_clean_up_seconds=7),
            {"a": [Outcome(seconds=9, ignores_signals=True)]},
            {},
            (1,),
            "stop signal sent again",
        ),
        (dag(step("a")), {"a": [Outcome(seconds=9, ignores_signals=True)]}, {}, (1,), "maxCleanUpTimeSec has passed"),
        (
            dag(step("a")),
            {"a": [Outcome(seconds=9, ignores_signals=True)]},
            {},
            (1,),
            "step did not stop, killing its processes [a]",
        ),
        (
            dag(step("a", timeout_seconds=1)),
            {"a": [lasts(9)]},
            {},
            (),
            "step reached its time limit, killing its processes [a]",
        ),
        (dag(step("a"), timeout_seconds=1), {"a": [lasts(9)]}, {}, (), "run reached its time limit"),
    ],
)
def test_what_is_worth_knowing_has_a_line(
    definition: Dag,
    script: dict[str, list[Outcome]],
    options: dict[str, dict[str, list[bool] | tuple[str, ...]]],
    stops: tuple[float, ...],
    expected: str,
) -> None:
    assert expected in messages(World(definition, script, **options).run(*stops))


def test_bookkeeping_has_no_line() -> None:
    assert describe(dag(step("a")), Change(0, {"executed_at": "2026-03-01T12:00:00Z"})) == ()
    assert describe(dag(step("a")), Change(None, {"phase": "exit"})) == ()


def test_a_run_that_failed_for_no_known_reason_says_no_more() -> None:
    ended = Change(None, {"status": 2, "finished_at": "2026-03-01T12:00:00Z"})
    assert describe(dag(step("a")), ended)[-1] == Line("ERROR", "run failed", {})
