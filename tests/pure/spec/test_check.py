from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.spec.check import find_cycle, name_error

NODES = [f"n{number}" for number in range(8)]
graphs = st.fixed_dictionaries({name: st.lists(st.sampled_from(NODES), max_size=3) for name in NODES})


@pytest.mark.parametrize("name", ["", "a", "A.b-c_9", "n" * 40])
def test_a_name_within_the_rules_has_no_fault(name: str) -> None:
    assert name_error(name) == ""


@pytest.mark.parametrize(
    ("name", "word"), [("a b", '"a b"'), ("a\n", "letters"), ("ü", "letters"), ("n" * 41, "41 bytes")]
)
def test_an_invalid_name_is_refused_with_a_reason(name: str, word: str) -> None:
    assert word in name_error(name)


@given(graphs)
def test_a_found_cycle_is_one(edges: dict[str, list[str]]) -> None:
    cycle = find_cycle(edges)

    for name, following in zip(cycle, [*cycle[1:], *cycle[:1]], strict=True):
        assert following in edges[name]


@given(graphs)
def test_without_a_cycle_every_name_can_be_put_after_those_it_depends_on(edges: dict[str, list[str]]) -> None:
    done: set[str] = set()
    for _ in NODES:
        done |= {name for name, others in edges.items() if done.issuperset(others)}

    assert (len(done) == len(NODES)) == (find_cycle(edges) == [])
