"""A simulation without clocks and processes: it carries out the actions of ``advance`` in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec

from dagbook.engine import plan as plans
from dagbook.engine.action import (
    Action,
    AdoptStep,
    CheckConditions,
    CheckRepeat,
    CloseRun,
    KillStep,
    SignalStep,
    StartStep,
)
from dagbook.engine.advance import advance, due
from dagbook.engine.event import (
    HANDLER_NAMES,
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
from dagbook.engine.plan import Plan
from dagbook.engine.state import NodeState, RunState
from dagbook.engine.status import NodeStatus
from dagbook.spec.model import Dag, Step

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LETTERS = {
    NodeStatus.NOT_STARTED: "N",
    NodeStatus.RUNNING: "R",
    NodeStatus.FAILED: "F",
    NodeStatus.ABORTED: "A",
    NodeStatus.SUCCEEDED: "S",
    NodeStatus.SKIPPED: "K",
    NodeStatus.PARTIALLY_SUCCEEDED: "P",
}


class Outcome(msgspec.Struct, frozen=True):
    """How one execution goes if it is left alone, and whether a signal ends it."""

    code: int = 0
    seconds: float = 0
    error: str = ""
    retry_code: int | None = None
    prepared: bool = True
    partial: bool = False
    output_matched: bool = False
    ignores_signals: bool = False
    on_signal: int = -1
    start_delay: float = 0


def step(name: str, *depends: str, **fields: Any) -> Step:
    return Step(name=name, depends=depends, **fields)


def dag(*steps: Step, **fields: Any) -> Dag:
    return Dag(name="demo", steps=steps, **fields)


def fails(code: int = 1, seconds: float = 0) -> Outcome:
    return Outcome(code, seconds, error=f"exit status {code}")


def lasts(seconds: float) -> Outcome:
    return Outcome(seconds=seconds)


class World:
    """One run, from its first event to its last."""

    def __init__(self, definition: Dag, script: dict[str, list[Outcome]] | None = None, **options: Any) -> None:
        self.plan = Plan.of(definition)
        self.state: RunState = options.get("state") or plans.initial_state(self.plan)
        self.now = START
        self.actions: list[tuple[float, Action]] = []
        self.states: list[RunState] = [self.state]
        self._script = {name: list(outcomes) for name, outcomes in (script or {}).items()}
        self._conditions: dict[str, tuple[str, ...]] = options.get("conditions", {})
        self._repeats: dict[str, list[bool | None]] = options.get("repeats", {})
        self._plans: dict[str, tuple[int, int]] = options.get("plans", {})
        self._mute: tuple[type, ...] = options.get("mute", ())  # orders that are never answered
        self._tick = count()
        self._queue: list[tuple[datetime, int, Event]] = []
        self._doing: dict[int, tuple[int, Outcome]] = {}

    def run(self, *stops: float) -> World:
        """Play the run to its end; ``stops`` are the seconds at which a stop is requested."""
        self.later(0, RunStarted())
        for seconds in stops:
            self.later(seconds, StopRequested())
        while self._play_next():
            assert next(self._tick) < 100_000, "the run does not end"
        return self

    def later(self, seconds: float, event: Event) -> None:
        heapq.heappush(self._queue, (self.now + timedelta(seconds=seconds), next(self._tick), event))

    def deliver(self, event: Event) -> None:
        self.state, actions = advance(self.plan, self.state, event, self.now)
        self.states.append(self.state)
        for action in actions:
            self.actions.append((self.elapsed, action))
            if not isinstance(action, self._mute):
                self._carry_out(action)

    @property
    def elapsed(self) -> float:
        return (self.now - START).total_seconds()

    @property
    def letters(self) -> str:
        return "".join(LETTERS[node.status] for node in self.state.steps)

    @property
    def label(self) -> str:
        return self.state.status.label

    def node(self, name: str) -> NodeState:
        return self.state.steps[[each.name for each in self.plan.dag.steps].index(name)]

    def name(self, key: int) -> str:
        return HANDLER_NAMES[key] if key < 0 else self.plan.dag.steps[key].name

    @property
    def starts(self) -> list[tuple[float, str]]:
        """The started steps and handlers with their times, one entry per execution."""
        return [(at, self.name(action.key)) for at, action in self.actions if isinstance(action, StartStep)]

    @property
    def handlers(self) -> list[str]:
        return [name for _, name in self.starts if name.startswith("on")]

    def sent(self, *kinds: type) -> list[tuple[float, str]]:
        """The signals and kills with their times and nodes."""
        found: Iterable[tuple[float, Any]] = ((at, act) for at, act in self.actions if isinstance(act, kinds))
        return [(at, f"{self.name(act.key)} {getattr(act, 'signal', 'kill')}") for at, act in found]

    def _play_next(self) -> bool:
        alarm = due(self.plan, self.state)
        if alarm is not None and (not self._queue or alarm < self._queue[0][0]):
            self.now = max(self.now, alarm)
            self.deliver(TimerFired())
        elif self._queue:
            at, _, event = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            self.deliver(event)
        else:
            return False
        return True

    def _carry_out(self, action: Action) -> None:
        match action:
            case StartStep() | AdoptStep():
                self._start(action.key, action.execution)
            case CheckConditions(key=key):
                errors = self._conditions.get("" if key is None else self.name(key), ("",))
                self.later(0, ConditionsChecked(key=key, errors=errors))
            case CheckRepeat(key=key, execution=execution):
                met = self._repeats[self.name(key)].pop(0)
                self.later(0, RepeatChecked(key=key, execution=execution, met=met))
            case SignalStep(key=key) if key in self._doing and not self._doing[key][1].ignores_signals:
                self._end_early(key, self._doing[key][1].on_signal, "signal: terminated")
            case KillStep(key=key):
                self._end_early(key, -1, "signal: killed")
            case SignalStep() | CloseRun():
                pass

    def _start(self, key: int, execution: int) -> None:
        name = self.name(key)
        outcomes = self._script.get(name, [])
        outcome = outcomes.pop(0) if outcomes else Outcome()
        if name in self._plans and execution == 1:
            limit, interval = self._plans[name]
            self.later(0, RetryPlanned(key=key, limit=limit, interval_seconds=interval))
        self._doing[key] = (execution, outcome)
        self.later(outcome.start_delay, ExecutionStarted(key=key, execution=execution))
        self.later(outcome.start_delay + outcome.seconds, exited(key, execution, outcome))

    def _end_early(self, key: int, code: int, error: str) -> None:
        if key in self._doing:
            execution, _ = self._doing.pop(key)
            self.later(0, StepExited(key=key, execution=execution, exit_code=code, error=error if code else ""))


def exited(key: int, execution: int, outcome: Outcome) -> StepExited:
    return StepExited(
        key=key,
        execution=execution,
        exit_code=outcome.code,
        error=outcome.error,
        retry_code=outcome.retry_code,
        prepared=outcome.prepared,
        partial=outcome.partial,
        output_matched=outcome.output_matched,
    )
