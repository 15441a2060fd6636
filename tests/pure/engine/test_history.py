"""The history of an attempt: plain data from which its state can be rebuilt."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec

from dagbook.engine import plan as plans
from dagbook.engine.history import Change, changes, fold
from dagbook.engine.plan import Plan
from dagbook.engine.state import RunState
from dagbook.spec.model import Handlers, Repeat, Retry, Step
from tests.pure.engine.world import World, dag, fails, lasts, step

EVENTFUL = dag(
    step("a", retry=Retry(limit=1, interval_seconds=3)),
    step("b", repeat=Repeat(mode="while", limit=2)),
    step("c", "a", "b", timeout_seconds=1),
    handlers=Handlers(init=Step(name="i"), failure=Step(name="f"), exit=Step(name="e")),
)


def play() -> World:
    return World(EVENTFUL, {"a": [fails()], "c": [lasts(9)]}).run()


def recorded(world: World) -> list[tuple[Change, ...]]:
    return [changes(before, after) for before, after in pairwise(world.states)]


def test_the_whole_history_leads_from_the_first_state_to_the_last() -> None:
    world = play()
    history = [change for batch in recorded(world) for change in batch]
    assert fold(plans.initial_state(Plan.of(EVENTFUL)), history) == world.state


def test_the_history_survives_being_written_as_json() -> None:
    world = play()
    text = json.dumps([msgspec.to_builtins(change) for batch in recorded(world) for change in batch])
    history = msgspec.json.decode(text, type=list[Change])
    assert fold(world.states[0], history) == world.state


def test_a_change_holds_what_changed_and_nothing_else() -> None:
    world = World(dag(step("a"), step("b", "a"))).run()
    begun = changes(world.states[0], world.states[1])
    assert [(change.key, sorted(change.fields)) for change in begun] == [
        (None, ["phase", "started_at", "status"]),
        (0, ["execution", "started_at", "status"]),
    ]
    assert begun[1].fields == {"execution": 1, "started_at": "2026-03-01T12:00:00Z", "status": 1}


def test_nothing_changed_is_no_history() -> None:
    state = play().state
    assert changes(state, state) == ()
    assert changes(state, msgspec.structs.replace(state, ready=(1,), running=(2,))) == ()


def test_an_equal_node_is_no_change_though_it_is_another_object() -> None:
    state = play().state
    copied = msgspec.structs.replace(state, steps=tuple(msgspec.structs.replace(node) for node in state.steps))
    assert changes(state, copied) == ()


def test_folding_rebuilds_who_is_running_but_leaves_who_is_ready() -> None:
    world = World(dag(step("a"), step("b"), max_active_steps=1)).run()
    begun: RunState = world.states[1]
    folded = fold(world.states[0], changes(world.states[0], begun))
    assert (begun.ready, folded.ready) == ((1,), ())
    assert folded.running == begun.running == (0,)
