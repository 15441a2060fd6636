from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.spec.expansion.expand import Mode, Variables, expand
from tests.pure.spec.evaluation import evaluated


def read(text: str, path: str) -> str:
    return evaluated(expand(f"${{X{path}}}", mode=Mode.VARS, variables=Variables([{"X": text}])))


def test_a_long_integer_keeps_all_its_digits() -> None:
    assert read('{"id":12345678901234567890}', ".id") == "12345678901234567890"


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
    jq, plain = read(text, f"{path}|."), read(text, path)
    assert plain == jq.replace(f"{path}|.", path)
