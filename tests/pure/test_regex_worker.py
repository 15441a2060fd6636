"""Lines that match, and the lines around them (api-behaviour op 26)."""

from __future__ import annotations

import pytest

from dagbook.definitions.queries import blocks
from dagbook.regex.worker import compile_expression, matching_lines, split_lines

TEXT = "1\n2\n3\n4\n5\n6"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\n", ["a", ""]),
        ("a\r\nb\r", ["a", "b"]),
        ("a\x0cb\u2028c", ["a\x0cb\u2028c"]),
    ],
)
def test_lines_are_counted_as_editors_do(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


@pytest.mark.parametrize(
    ("number", "first", "text"),
    [(1, 1, "1\n2\n3"), (2, 1, "1\n2\n3\n4"), (3, 1, "1\n2\n3\n4\n5"), (4, 2, "2\n3\n4\n5\n6"), (6, 4, "4\n5\n6")],
)
def test_a_block_reaches_two_lines_each_way_within_the_text(number: int, first: int, text: str) -> None:
    (block,) = blocks(TEXT, [number])
    assert (block.line, block.first, block.text) == (number, first, text)


def test_blocks_may_overlap() -> None:
    assert [block.text for block in blocks("a\na", matching_lines(compile_expression("a"), "a\na"))] == ["a\na", "a\na"]


@pytest.mark.parametrize(
    ("expression", "line"),
    [("A", "xax"), ("^b$", "B"), ("[[:digit:]]", "7"), ("[^[:space:]]", "x"), ("", "x")],
)
def test_an_expression_matches_anywhere_in_a_line(expression: str, line: str) -> None:
    assert matching_lines(compile_expression(expression), f"\n{line}\n")[-1] == 2


@pytest.mark.parametrize("expression", ["(", "(" * 10_000, "a{9999999999999}", "(?P<a"])
def test_an_invalid_expression_is_an_error_with_a_reason(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        compile_expression(expression)
