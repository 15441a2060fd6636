"""A run with a problem fails at its start, without any step or handler (runtime 29)."""

from __future__ import annotations

from dagbook.engine import plan as plans
from dagbook.engine.action import CloseRun
from dagbook.engine.advance import advance
from dagbook.engine.event import RunStarted
from dagbook.engine.history import changes, fold
from dagbook.engine.plan import Plan
from dagbook.engine.state import Phase
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.spec.model import Condition, Handlers, Step
from tests.pure.engine.world import START, dag, step

PLAN = Plan.of(
    dag(
        step("a"),
        preconditions=(Condition(condition="true"),),
        handlers=Handlers(init=Step(name="i"), failure=Step(name="f"), exit=Step(name="e")),
    )
)
BEFORE = plans.initial_state(PLAN)
AFTER, ORDERS = advance(PLAN, BEFORE, RunStarted(problem="secret S: none"), START)


def test_a_run_with_a_problem_fails_at_once_and_says_why() -> None:
    assert (AFTER.status, AFTER.phase, AFTER.error) == (RunStatus.FAILED, Phase.CLOSED, "secret S: none")
    assert (AFTER.started_at, AFTER.finished_at) == (START, START)


def test_nothing_of_a_run_with_a_problem_is_run() -> None:
    assert (CloseRun(status=RunStatus.FAILED),) == ORDERS
    assert {node.status for node in (*AFTER.steps, *AFTER.handlers.values())} == {NodeStatus.NOT_STARTED}


def test_the_history_tells_of_the_failure() -> None:
    assert fold(BEFORE, changes(BEFORE, AFTER)) == AFTER


def test_a_run_with_a_problem_cannot_be_started_again() -> None:
    assert advance(PLAN, AFTER, RunStarted(), START) == (AFTER, ())
