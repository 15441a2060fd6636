"""The example DAGs; ``tests/process/test_demo.py`` runs them."""

from __future__ import annotations

import pytest

from dagbook.spec.reading.load import load
from dagbook.web import files
from tests.process.test_demo import EXPECTED


def test_there_are_eight_examples_and_hello_is_the_first() -> None:
    assert set(files.example_names()) == set(EXPECTED)
    assert (files.example_names()[0], len(EXPECTED)) == ("hello", 8)
    assert {f"examples/{name}.yaml" for name in EXPECTED} <= files.known()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_is_valid_and_says_what_it_shows(name: str) -> None:
    loaded = load(files.read_example(name), name=name)
    assert (loaded.problems, loaded.warnings) == ((), ())
    assert loaded.definition.dag.description
    assert loaded.definition.dag.tags == ("example",)
