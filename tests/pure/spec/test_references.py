from __future__ import annotations

import pytest

from dagbook.spec.expansion.scope import visible_outputs
from dagbook.spec.model import Step


def step(name: str, *depends: str, output: str = "OUT") -> Step:
    return Step(name=name, depends=depends, output=output)


STEPS = (
    step("root"),
    step("left", "root"),
    step("right", "root"),
    step("quiet", "left", output=""),
    step("end", "right", "quiet"),
    step("alone"),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("end", ["right", "root", "left"]),
        ("quiet", ["left", "root"]),
        ("root", []),
        ("alone", []),
    ],
)
def test_a_step_sees_the_outputs_before_it_nearest_first(name: str, expected: list[str]) -> None:
    index = next(place for place, one in enumerate(STEPS) if one.name == name)
    assert [STEPS[place].name for place in visible_outputs(STEPS, index)] == expected


def test_a_cycle_is_walked_once() -> None:
    cycle = (step("a", "c"), step("b", "a"), step("c", "b", "gone"))
    assert visible_outputs(cycle, 0) == (2, 1)
