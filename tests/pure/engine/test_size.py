"""Runs with thousands of steps: nothing recurses, and a transition costs little."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from dagbook.engine import rules
from dagbook.engine.history import changes
from dagbook.engine.state import NodeState
from dagbook.spec.model import Dag, Step
from tests.pure.engine.world import World, dag, fails, step

MANY = 5000


def chain() -> Dag:
    return dag(step("0"), *(step(str(n), str(n - 1)) for n in range(1, MANY)))


def join() -> Dag:
    alone = [step(str(n)) for n in range(MANY - 1)]
    return dag(*alone, Step(name="last", depends=tuple(each.name for each in alone)), max_active_steps=10)


def test_a_failure_runs_down_a_chain_of_thousands_at_once() -> None:
    world = World(chain(), {"0": [fails()]}).run()
    assert world.letters == "F" + "A" * (MANY - 1)


@pytest.mark.parametrize("shape", [chain, join])
def test_an_end_is_not_answered_by_a_walk_over_the_whole_graph(
    shape: Callable[[], Dag], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[NodeState] = []
    judge = rules.is_satisfied

    def counted(definition: Step, node: NodeState) -> bool:
        looks.append(node)
        return judge(definition, node)

    monkeypatch.setattr(rules, "is_satisfied", counted)
    assert World(shape()).run().letters == "S" * MANY
    assert len(looks) < 10 * MANY


def test_changes_do_not_compare_untouched_nodes() -> None:
    world = World(chain(), {"0": [fails()]}).run()
    sizes = [len(changes(before, after)) for before, after in pairwise(world.states)]
    assert sizes[0] == 2
    assert max(sizes) == MANY + 1
