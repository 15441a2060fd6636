"""How many steps run at once, in which order, and how far apart they start."""

from __future__ import annotations

from dagbook.spec.model import Retry
from tests.pure.engine.world import World, dag, fails, lasts, step

THREE = (step("a"), step("b"), step("c"))


def test_delay_pauses_after_each_launch() -> None:
    world = World(dag(*THREE, delay_seconds=2)).run()
    assert world.starts == [(0, "a"), (2, "b"), (4, "c")]


def test_the_delay_also_applies_to_steps_that_become_ready_later() -> None:
    world = World(dag(step("a"), step("b", "a"), delay_seconds=3), {"a": [lasts(1)]}).run()
    assert world.starts == [(0, "a"), (3, "b")]


def test_one_active_step_means_file_order() -> None:
    world = World(dag(*THREE, max_active_steps=1), {name: [lasts(1)] for name in "abc"}).run()
    assert world.starts == [(0, "a"), (1, "b"), (2, "c")]


def test_the_first_ready_step_starts_first() -> None:
    steps = (step("late", "slow"), step("slow"), step("fast"), step("early", "fast"), step("full"))
    script = {"slow": [lasts(2)], "fast": [lasts(1)], "full": [lasts(3)], "early": [lasts(3)]}
    world = World(dag(*steps, max_active_steps=3), script).run()
    assert [name for _, name in world.starts] == ["slow", "fast", "full", "early", "late"]


def test_a_step_that_waits_for_its_retry_keeps_its_place() -> None:
    first = step("a", retry=Retry(limit=1, interval_seconds=4))
    world = World(dag(first, step("b"), max_active_steps=1), {"a": [fails()]}).run()
    assert world.starts == [(0, "a"), (4, "a"), (4, "b")]


def test_steps_without_dependencies_begin_together() -> None:
    assert World(dag(*THREE), {"a": [lasts(5)]}).run().starts == [(0, "a"), (0, "b"), (0, "c")]
