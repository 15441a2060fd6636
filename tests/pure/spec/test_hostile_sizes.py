"""Texts within the limit of their size that would cost much later: refused, parsed once, and released at once."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from dagbook.spec.reading.definition_cache import QUICK, DefinitionCache
from dagbook.spec.reading.load import Loaded, load
from dagbook.spec.reading.yaml_reader import MAX_BYTES

PADDING = f"# {'x' * QUICK}\n"


def fill(head: str, item: str, tail: str = "") -> str:
    """Repeat an item up to the largest size of a text, and not more values than one may have."""
    return head + item * min((MAX_BYTES - len(head) - len(tail)) // len(item), 40_000) + tail


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (fill("schedule:\n", "- 1 1 1 1 1\n"), "schedule: may have 1,000 expressions, these are "),
        (fill("schedule: {stop: [", "'* * * * *', ", "]}"), "schedule.stop: may have 1,000 expressions, these are "),
        (fill("steps: [{command: '", "a ", "'}]"), "steps[0].command: may have 10,000 words, these are "),
        (fill("steps: [{command: [", "a, ", "]}]"), "steps[0].command: may have 10,000 words, these are "),
        (fill("params: '", "a=b ", "'"), "params: may have 1,000 values, these are "),
        (fill("params: [", "a, ", "]"), "params: may have 1,000 values, these are "),
        (fill("env: [", "A=b, ", "]"), "env: may have 1,000 values, these are "),
    ],
)
def test_a_mebibyte_of_what_each_run_or_minute_would_look_at_is_refused(text: str, problem: str) -> None:
    (found,) = load(text, name="a").problems
    assert str(found).partition("] ")[2].startswith(problem)


def test_nodes_are_released_without_a_collection_of_garbage() -> None:
    gc.collect()
    gc.disable()
    try:
        load("steps: [{name: a, command: b, depends: c}]\n---\nname: b\nq: 1\n")
        assert gc.collect() == 0
    finally:
        gc.enable()


class Threads:
    def __init__(self) -> None:
        self.count = 0

    async def run(self, work: Callable[[], Loaded]) -> Loaded:
        self.count += 1
        return work()


async def test_a_long_text_is_parsed_aside_and_once() -> None:
    threads = Threads()
    cache = DefinitionCache(threads.run)
    for _ in range(2):
        assert (await cache.read_aside(f"{PADDING}steps: [a]\n", name="x")).definition.dag.name == "x"
        assert (await cache.read_aside("steps: [a]\n", name="x")).definition.dag.name == "x"
    assert threads.count == 1


def test_the_cache_is_bounded_by_the_size_of_its_texts() -> None:
    cache = DefinitionCache()
    texts = [f"# {number}{'x' * 1_000_000}\nsteps: [a]\n" for number in range(10)]
    for text in texts:
        cache.read(text)
    assert [cache.is_cached(text) for text in texts] == [False] * 2 + [True] * 8


def test_a_long_text_with_problems_is_not_kept() -> None:
    cache = DefinitionCache()
    for text, kept in ((f"{PADDING}x: 1\n", False), ("x: 1\n", True), (f"{PADDING}steps: [a]\n", True)):
        cache.read(text)
        assert cache.is_cached(text) is kept
