from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.spec.expansion import substitution


@pytest.mark.parametrize("expression", [".x | env", ". | $ENV", ".|[env,$ENV]|tojson|.[0:0]|[., env][1]"])
def test_the_environment_of_the_server_cannot_be_read(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGBOOK_SECRET_KEY", "hidden")
    assert substitution.read('{"x":1}', expression) == "{}"


def test_other_files_cannot_be_read() -> None:
    assert substitution.read("1", 'import "a" as $x; .') is None


@pytest.mark.parametrize("text", ["", "{", "1 2", "nan", "text"])
def test_what_is_no_json_has_no_paths(text: str) -> None:
    assert substitution.read(text, ".") is None


def test_a_long_integer_keeps_all_its_digits() -> None:
    assert substitution.read('{"id":12345678901234567890}', ".id") == "12345678901234567890"


def test_the_first_of_several_results_counts() -> None:
    assert substitution.read("[1,2]", ".[]") == "1"


def test_a_comment_does_not_swallow_what_follows() -> None:
    assert substitution.read('{"a":1}', ".a # .b") == "1"


LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("ab", max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
PATHS = st.lists(st.sampled_from([".a", ".b", ".[0]", ".[1]", ".[-1]", ".a[0]"]), min_size=1, max_size=4).map("".join)


@settings(max_examples=200, deadline=None)
@given(VALUES, PATHS)
def test_a_plain_path_gives_what_jq_gives(value: Any, path: str) -> None:
    text = json.dumps(value)
    assert substitution.read(text, path) == substitution.read(text, f"{path}|.")
