"""Items of a parallel call (runtime 20.8, DAG format 3.13)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.spec.model import Pair
from dagbook.spec.params.param_text import map_text, split

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('["a", 1, null, {"k": [2]}, true]', ["a", "1", "null", '{"k":[2]}', "true"]),
        ('{"k": "v"}', ['{"k": "v"}']),
        ("[not json", ["[not", "json"]),
        ("l1\n\n  l2 \nl3\n", ["l1", "l2", "l3"]),
        ('"a b" c "d"', ["a b", "c", "d"]),
        ("a\tb c\td", ["a", "b c", "d"]),
        ("a|b|c;d", ["a", "b", "c;d"]),
        ("a; b ;;c", ["a", "b", "c"]),
        ("a,b;c", ["a,b", "c"]),
        ("a,b,c;d", ["a", "b", "c;d"]),
        ("w1  w2", ["w1", "w2"]),
        ("one", ["one"]),
        ("", []),
    ],
)
def test_a_text_is_cut_by_what_it_looks_like(text: str, items: list[str]) -> None:
    assert split(text) == items


@given(st.lists(TEXTS))
def test_a_list_of_texts_comes_back_whatever_is_in_them(texts: list[str]) -> None:
    assert split(json.dumps(texts)) == texts


@given(TEXTS)
def test_no_item_of_a_line_is_blank(text: str) -> None:
    assert all(item.strip() for item in split(text) if not text.strip().startswith(("[", "{", '"')) and '"' not in text)


def test_a_map_is_written_with_sorted_keys_and_no_blanks() -> None:
    assert map_text([Pair("K", "v"), Pair("J", "2")]) == '{"J":"2","K":"v"}'
