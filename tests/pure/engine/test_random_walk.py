"""What holds for every run, whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.engine import plan as plans
from dagbook.engine.advance import advance
from dagbook.engine.event import Event
from dagbook.engine.state import Phase
from dagbook.engine.status import NodeStatus
from dagbook.spec.model import Dag
from tests.pure.engine.walk import Choose, Walk, dags
from tests.pure.engine.world import START

pytestmark = pytest.mark.always

lengths = st.integers(0, 60)


def walk(definition: Dag, seed: st.DataObject, length: int) -> Walk:
    wanderer = Walk(definition, chooser(seed))
    wanderer.go(length)
    return wanderer


def chooser(seed: st.DataObject) -> Choose:
    return seed.draw(st.randoms(use_true_random=False)).randrange


@given(definition=dags(), seed=st.data(), length=lengths)
@settings(max_examples=150, deadline=None)
def test_every_run_ends_by_allowed_transitions_only(definition: Dag, seed: st.DataObject, length: int) -> None:
    wanderer = walk(definition, seed, length)
    wanderer.finish()
    assert wanderer.state.status.is_final
    assert wanderer.state.finished_at is not None
    assert not any(node.status is NodeStatus.RUNNING for node in wanderer.state.steps)


@given(definition=dags(), seed=st.data(), length=lengths)
@settings(max_examples=100, deadline=None)
def test_a_run_that_is_taken_over_ends_too(definition: Dag, seed: st.DataObject, length: int) -> None:
    wanderer = walk(definition, seed, length)
    wanderer.adopt()
    wanderer.go(10)
    wanderer.adopt()
    wanderer.finish()
    assert wanderer.state.phase is Phase.CLOSED


@given(definition=dags(), seed=st.data(), length=lengths, one=st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_retry_of_any_ended_run_ends_too(definition: Dag, seed: st.DataObject, length: int, *, one: bool) -> None:
    first = walk(definition, seed, length)
    first.finish()
    step = len(definition.steps) - 1 if one else None
    again = Walk(definition, first.choose, plans.retry_state(first.plan, first.state, step))
    again.go(length)
    again.finish()
    assert again.state.status.is_final
    if one:
        assert again.state.steps[:-1] == first.state.steps[:-1]


@given(definition=dags(), seed=st.data(), length=lengths)
@settings(max_examples=50, deadline=None)
def test_the_same_events_lead_to_the_same_state(definition: Dag, seed: st.DataObject, length: int) -> None:
    wanderer = walk(definition, seed, length)
    events: list[Event] = wanderer.delivered[1:]
    ends = []
    for _ in range(2):
        state = plans.initial_state(wanderer.plan)
        for event in events:
            state, _ = advance(wanderer.plan, state, event, START)
        ends.append(state)
    assert ends[0] == ends[1]
