from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.spec.build.field import unwrap
from dagbook.spec.problem import Problem, SpecError
from dagbook.spec.reading.yaml_reader import (
    MAX_ALIASES,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    YamlNode,
    read_text,
)


def load_documents(text: str) -> list[YamlNode]:
    """Read the documents of a text; raises SpecError with every problem."""
    read = read_text(text)
    if read.problems:
        raise SpecError(read.problems)
    return read.documents


def values(text: str) -> list[Any]:
    return [unwrap(node) for node in load_documents(text)]


def value(text: str) -> Any:
    (found,) = values(text)
    return found


def first_problem(text: str) -> Problem:
    with pytest.raises(SpecError) as caught:
        load_documents(text)
    return caught.value.problems[0]


def bomb(levels: int) -> str:
    """Each level names the one below nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('{"a": [1, 2.5, null, "x"]}', {"a": [1, 2.5, None, "x"]}),
            ('{\n\t"a": 1\n}', {"a": 1}),
            ("a: 'yes'\nb: \"5\"\nc: |\n  x\n  y\n", {"a": "yes", "b": "5", "c": "x\ny\n"}),
            ("1: a\ntrue: b\n1.5: c\n~: d", {"1": "a", "true": "b", "1.5": "c", "null": "d"}),
            ("0x1F: a\n1.0: b\n.inf: c\n1000000.0: d", {"31": "a", "1": "b", "+Inf": "c", "1e+06": "d"}),
            ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
            ("\ufeffa: 1", {"a": 1}),
            ("a: !!str 1\nb: !!int '5'\nc: !!seq [x]", {"a": "1", "b": 5, "c": ["x"]}),
        ],
    )
    def test_a_document_reads_as_plain_values(self, text: str, expected: object) -> None:
        assert value(text) == expected

    def test_an_alias_stands_for_what_its_anchor_names(self) -> None:
        assert value("a: &x [1]\nb: *x\nc: &y text\n*y : d") == {"a": [1], "b": [1], "c": "text", "text": "d"}

    def test_anchors_end_with_their_document(self) -> None:
        assert "*x is not defined" in first_problem("a: &x 1\n---\nb: *x").message


class TestMergeKeys:
    def test_a_key_of_the_map_itself_wins_over_a_merged_one(self) -> None:
        assert value("a: &a {x: 1, y: 2}\nb:\n  y: 3\n  <<: *a\n  z: 4")["b"] == {"x": 1, "y": 3, "z": 4}
        assert value("a: &a {x: 1}\nb:\n  <<: *a\n  x: 2")["b"] == {"x": 2}

    def test_of_several_merged_maps_the_earlier_wins(self) -> None:
        assert value("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc:\n  <<: [*a, *b]")["c"] == {"x": 1, "y": 2}

    def test_merged_keys_stand_in_document_order(self) -> None:
        assert list(value("a: &a {x: 1}\nb:\n  w: 0\n  <<: *a\n  z: 4")["b"]) == ["w", "x", "z"]

    def test_a_quoted_sign_is_an_ordinary_key(self) -> None:
        assert value("'<<': {x: 1}") == {"<<": {"x": 1}}

    def test_only_maps_can_be_merged(self) -> None:
        assert "takes a map" in first_problem("a:\n  <<: text").message


class TestDocuments:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", []),
            ("# only a comment\n", []),
            ("a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
            ("a: 1\n---\n", [{"a": 1}]),
            ("a: 1\n---\n---\nb: 2\n", [{"a": 1}]),
            ("---\n---\na: 1\n", []),
            ("null", [None]),
            ("{}\n---\na: 1", [{}, {"a": 1}]),
        ],
    )
    def test_a_document_without_content_ends_reading(self, text: str, expected: object) -> None:
        assert values(text) == expected

    def test_what_comes_before_a_fault_is_handed_over(self) -> None:
        found = read_text("a: 1\n---\nb: [\n")

        assert [unwrap(node) for node in found.documents] == [{"a": 1}]
        assert [problem.line for problem in found.problems] == [4]


class TestPositions:
    def test_keys_and_values_know_line_and_column(self) -> None:
        (node,) = load_documents("first: 1\nsecond:\n  - x\n  - {third: 2}\n")
        assert isinstance(node.value, dict)
        second = node.value["second"]
        assert isinstance(second.value, list)

        assert node.marks == {"first": (1, 1), "second": (2, 1)}
        assert [(item.line, item.column) for item in second.value] == [(3, 5), (4, 5)]
        assert second.value[1].marks == {"third": (4, 6)}

    @given(st.recursive(st.integers(0, 9), lambda child: st.lists(child, max_size=3), max_leaves=20))
    def test_every_position_lies_inside_the_text(self, tree: object) -> None:
        text = f"a:\n  {tree}\n"
        rows = text.split("\n")

        def check(node: YamlNode) -> None:
            assert 1 <= node.line <= len(rows)
            assert 1 <= node.column <= len(rows[node.line - 1])
            children = node.value if isinstance(node.value, list) else []
            for child in children:
                check(child)

        (document,) = load_documents(text)
        assert isinstance(document.value, dict)
        check(document.value["a"])


class TestFaults:
    @pytest.mark.parametrize(
        ("text", "line", "column", "word"),
        [
            ("a: [", 2, 1, "brackets"),
            ("a: 'x", 1, 6, "quotes"),
            ("steps:\n\t- a", 2, 1, "tabs"),
            ("steps:\n  - a: 1\n   b: 2", 3, 4, "YAML"),
            ("a: b: c", 1, 5, "colon"),
            ("a: 1\nb: 2\na: 3", 3, 1, "already given on line 1, column 1"),
            ("a: *x", 1, 4, "*x is not defined"),
            ("a: &x [*x]", 1, 8, "inside"),
            ("? [a]\n: 1", 1, 3, "cannot be a key"),
            ("a: !mine b", 1, 4, "!mine"),
            ("a: !!python/object/apply:os.system [x]", 1, 4, "os.system"),
            ("a: \x01", 0, 0, "character"),
            ("a: \ud800", 0, 0, "UTF-8"),
        ],
    )
    def test_a_fault_of_the_text_has_its_place(self, text: str, line: int, column: int, word: str) -> None:
        problem = first_problem(text)

        assert (problem.line, problem.column) == (line, column)
        assert word in problem.message

    def test_every_repeated_key_is_reported(self) -> None:
        found = read_text("a: 1\na: 2\nb: {c: 1, c: 2}\n")

        assert [problem.line for problem in found.problems] == [2, 3]
        assert unwrap(found.documents[0]) == {"a": 1, "b": {"c": 1}}


class TestBounds:
    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("a: '" + "x" * MAX_BYTES + "'", "1 MiB"),
            ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "64 levels"),
            ("- " * 10_000, "64 levels"),
            ("[" * 10_000, "nesting"),
            ("[" + "1," * MAX_NODES + "]", "100,000 values"),
            ("a: &a x\nb: [" + "*a," * (MAX_ALIASES + 1) + "]", "1,000 aliases"),
            (bomb(12), "100,000 values"),
            ("a: &a '" + "x" * 500_000 + "'\nb: [" + "*a," * 9 + "]", "4 MiB"),
            ("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 30 + "*a" + "]" * 30, "64 levels"),
        ],
    )
    def test_a_text_beyond_measure_is_refused(self, text: str, word: str) -> None:
        assert word in first_problem(text).message

    @pytest.mark.parametrize(
        "text",
        ["[" * MAX_DEPTH + "]" * MAX_DEPTH, "a: &a x\nb: [" + "*a," * MAX_ALIASES + "]", "x" * MAX_BYTES],
    )
    def test_a_text_that_just_fits_is_read(self, text: str) -> None:
        assert len(load_documents(text)) == 1

    @pytest.mark.parametrize("text", [bomb(40), "[" * 10_000, "- " * 10_000])
    def test_a_bomb_is_refused_at_once(self, text: str) -> None:
        tracemalloc.start()
        begun = time.process_time()
        found = read_text(text)
        spent = time.process_time() - begun
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert found.problems
        assert spent < 0.2
        assert peak < 50 * 1024 * 1024


def test_a_text_with_a_nul_is_refused_at_its_position() -> None:
    with pytest.raises(SpecError) as caught:
        load_documents('a: 1\nb: "x\\0y"\n')
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (2, 4)
    assert "NUL" in problem.message
