"""A random walk through a run: any order of answers, stops, jumps of the clock and events about nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from dagbook.engine import plan as plans
from dagbook.engine.action import Action, AdoptStep, CheckConditions, CheckRepeat, CloseRun, StartStep
from dagbook.engine.advance import advance, due, resume
from dagbook.engine.event import (
    EXIT,
    INIT,
    ConditionsChecked,
    Event,
    ExecutionStarted,
    RepeatChecked,
    RetryPlanned,
    RunStarted,
    StepExited,
    StopRequested,
    TimerFired,
)
from dagbook.engine.history import changes, fold
from dagbook.engine.plan import Plan
from dagbook.engine.rules import is_satisfied
from dagbook.engine.state import NodeState, Phase, RunState
from dagbook.engine.status import NODE_TRANSITIONS, RUN_TRANSITIONS
from dagbook.spec.model import Condition, ContinueOn, Dag, Handlers, Repeat, Retry, Step
from tests.pure.engine.world import START

Question = CheckConditions | CheckRepeat | StartStep
Choose = Callable[[int], int]
CONDITIONS = (Condition(condition="true"),)
TIMES = ("started_at", "finished_at", "executed_at", "retried_at", "stop_asked_at", "signalled_at", "killed_at")

retries = st.none() | st.builds(Retry, limit=st.integers(0, 2) | st.just("${N}"), interval_seconds=st.integers(0, 3))
repeats = st.none() | st.builds(
    Repeat,
    mode=st.sampled_from(("while", "until")),
    condition=st.sampled_from((None, CONDITIONS[0])),
    exit_codes=st.sampled_from(((), (0,), (1,))),
    interval_seconds=st.integers(0, 2),
    limit=st.integers(0, 3),
)
tolerances = st.builds(ContinueOn, failure=st.booleans(), skipped=st.booleans(), mark_success=st.booleans())
conditions = st.sampled_from(((), CONDITIONS))
handlers = st.none() | st.builds(
    Step, name=st.just("h"), preconditions=conditions, timeout_seconds=st.integers(0, 3), repeat=repeats
)


@st.composite
def dags(draw: st.DrawFn) -> Dag:
    """Small graphs in any file order, with everything that can change how they run."""
    names = draw(st.permutations("abcdef"[: draw(st.integers(1, 6))]))
    steps = {name: _step(draw, name, [other for other in names if other < name]) for name in names}
    return Dag(
        steps=tuple(steps[name] for name in names),
        preconditions=draw(conditions),
        handlers=draw(st.builds(Handlers, init=handlers, success=handlers, failure=handlers, exit=handlers)),
        timeout_seconds=draw(st.sampled_from((0, 0, 5))),
        delay_seconds=draw(st.sampled_from((0, 0, 1))),
        max_active_steps=draw(st.integers(0, 2)),
        max_clean_up_seconds=draw(st.integers(0, 8)),
    )


def _step(draw: st.DrawFn, name: str, above: list[str]) -> Step:
    return Step(
        name=name,
        depends=tuple(draw(st.lists(st.sampled_from(above), unique=True))) if above else (),
        preconditions=draw(conditions),
        continue_on=draw(tolerances),
        retry=draw(retries),
        repeat=draw(repeats),
        timeout_seconds=draw(st.sampled_from((0, 0, 2))),
    )


class Walk:
    """One run under a choice of events; every transition is checked for all invariants."""

    def __init__(self, definition: Dag, choose: Choose, state: RunState | None = None) -> None:
        self.plan = Plan.of(definition)
        self.state = state or plans.initial_state(self.plan)
        self.now = START
        self.choose = choose
        self.open: list[Question] = []
        self.delivered: list[Event] = [RunStarted()]
        self.started: list[tuple[int, int]] = []

    def go(self, length: int) -> None:
        """Take random events for a while."""
        self.deliver(RunStarted())
        for _ in range(length):
            self.now += timedelta(seconds=(0, 0, 1, 7, -30)[self.choose(5)])
            self.deliver(self._any_event())

    def finish(self) -> None:
        """Request a stop and answer everything; every run must end."""
        self.deliver(StopRequested())
        for _ in range(200):
            if self.state.phase is Phase.CLOSED:
                return
            self.now += timedelta(seconds=10)
            self.deliver(self._answer(self.open[0]) if self.open else TimerFired())
        raise AssertionError("the run does not end")

    def adopt(self) -> None:
        """Discard everything that is not stored, like a process that adopts the run."""
        self.state = plans.rebuild_ready(self.plan, msgspec.structs.replace(self.state, ready=(), running=()))
        self.open = outstanding(resume(self.plan, self.state))

    def deliver(self, event: Event) -> None:
        before = self.state
        self.state, actions = advance(self.plan, before, event, self.now)
        self.delivered.append(event)
        self._record(actions)
        self._check(before, actions)
        if isinstance(event, TimerFired):
            again = due(self.plan, self.state)
            assert again is None or again > self.now, "what was due is still due"

    def _any_event(self) -> Event:
        choice = self.choose(12)
        if self.open and choice < 7:
            return self._answer(self.open[self.choose(len(self.open))])
        if choice < 9:
            alarm = due(self.plan, self.state)
            self.now = self.now if alarm is None else max(self.now, alarm)
            return TimerFired()
        if choice == 9:
            return self.delivered[self.choose(len(self.delivered))]
        return self._odd_event() if choice == 10 or self.choose(2) else StopRequested(at_once=self.choose(4) == 1)

    def _odd_event(self) -> Event:
        key, execution = self.choose(16) - 6, self.choose(3)
        return (
            StepExited(key=key, execution=execution, exit_code=0),
            ExecutionStarted(key=key, execution=execution),
            RetryPlanned(key=key, limit=1, interval_seconds=1),
            RepeatChecked(key=key, execution=execution, met=True),
            ConditionsChecked(key=key, errors=("",)),
        )[self.choose(5)]

    def _answer(self, question: Question) -> Event:
        match question:
            case CheckConditions(key=key):
                return ConditionsChecked(key=key, errors=(("", "", "no")[self.choose(3)],))
            case CheckRepeat(key=key, execution=execution):
                return RepeatChecked(key=key, execution=execution, met=(True, False, None)[self.choose(3)])
            case StartStep(key=key, execution=execution):
                node = self.state.handlers[key] if key < 0 else self.state.steps[key]
                if node.executed_at is None and self.choose(3) == 0:
                    return ExecutionStarted(key=key, execution=execution)
                code = (0, 0, 1, 7)[self.choose(4)]
                return StepExited(
                    key=key,
                    execution=execution,
                    exit_code=code,
                    partial=code == 0 and self.choose(4) == 0,
                    prepared=self.choose(9) > 0,
                )

    def _record(self, actions: tuple[Action, ...]) -> None:
        new = outstanding(actions)
        fresh = [(action.key, action.execution) for action in new if isinstance(action, StartStep)]
        assert not set(fresh) & set(self.started), "an execution began twice"
        self.started += fresh
        self.open = [question for question in [*self.open, *new] if self._is_open(question)]

    def _is_open(self, question: Question) -> bool:
        return question in outstanding(resume(self.plan, self.state))

    def _check(self, before: RunState, actions: tuple[Action, ...]) -> None:
        after = self.state
        if before.phase is Phase.CLOSED:
            assert after is before
            assert not actions
        assert any(isinstance(action, CloseRun) for action in actions) == (
            after.phase is Phase.CLOSED and before.phase is not Phase.CLOSED
        )
        self._check_statuses(before)
        self._check_derived(before)
        self._check_starts(before)

    def _check_statuses(self, before: RunState) -> None:
        run = (before.status, self.state.status)
        assert run[0] is run[1] or run in RUN_TRANSITIONS
        _check_times(before, self.state)
        for old, new in _node_pairs(before, self.state):
            assert old.status is new.status or (old.status, new.status) in NODE_TRANSITIONS
            assert (new.finished_at is None) or new.status.is_final
            _check_times(old, new)

    def _check_derived(self, before: RunState) -> None:
        after = self.state
        stored = msgspec.structs.replace(after, ready=())
        assert fold(before, changes(before, after)) == stored
        rebuilt = plans.rebuild_ready(self.plan, stored)
        assert rebuilt.running == after.running
        assert sorted(rebuilt.ready) == sorted(after.ready)
        asked = outstanding(resume(self.plan, after))
        assert sorted(map(repr, asked)) == sorted(map(repr, self.open)), "what is outstanding cannot be told from rows"

    def _check_starts(self, before: RunState) -> None:
        begun = [key for key in self.state.running if key not in before.running]
        limit = self.plan.dag.max_active_steps
        assert limit == 0 or len(self.state.running) <= limit
        for key in begun:
            assert not self.state.cancelled or key < INIT, "something began after a stop"
            if key >= 0 and self.state.only is None:
                steps = self.plan.dag.steps
                assert all(is_satisfied(steps[up], self.state.steps[up]) for up in self.plan.depends[key])
        if EXIT in begun:
            assert self.state.running == (EXIT,)
        assert all(self.state.outcome for key in begun if key < INIT)


def outstanding(actions: tuple[Action, ...]) -> list[Question]:
    """Return the orders that ask for an answer; adopting asks for the same as starting."""
    found: list[Question] = []
    for action in actions:
        match action:
            case AdoptStep(key=key, execution=execution):
                found.append(StartStep(key=key, execution=execution))
            case CheckConditions() | CheckRepeat() | StartStep():
                found.append(action)
    return found


def _node_pairs(before: RunState, after: RunState) -> list[tuple[NodeState, NodeState]]:
    steps = list(zip(before.steps, after.steps, strict=True))
    return steps + [(before.handlers[key], node) for key, node in after.handlers.items()]


def _check_times(old: Any, new: Any) -> None:
    for name in TIMES:
        then, now = getattr(old, name, None), getattr(new, name, None)
        # A repetition has a process of its own, and none until it has begun.
        assert then is None or (now is None and name == "executed_at") or now >= then
    started, finished = new.started_at, new.finished_at
    assert started is None or finished is None or started <= finished
