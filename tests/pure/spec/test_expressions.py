"""Regular expressions of users (RE2), the lines that match, and the lines around them (api-behaviour op 26)."""

from __future__ import annotations

import random
from time import monotonic

import pytest

from dagbook.definitions.search import blocks
from dagbook.spec.expressions import (
    MAX_CHARACTERS,
    Expression,
    ExpressionError,
    Span,
    TooLargeError,
    find_lines,
    line_expression,
    unix_lines,
)

TEXT = "1\n2\n3\n4\n5\n6"


def lines(expression: str, text: str, **options: bool) -> list[int]:
    return [span.line for span in find_lines(line_expression(expression, ignore_case=True, **options), text)]


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("a", 1), ("a\n", 1), ("a\n\n", 2), ("a\r\nb\r", 2), ("a\x0cb\u2028c", 1)]
)
def test_lines_are_counted_as_editors_do(text: str, count: int) -> None:
    assert len(lines("", text)) == count


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        ("A", "xax"),
        ("^b$", "B"),
        ("^b$", "b\r"),
        (r"\Ab\z", "b"),
        ("[[:digit:]]", "7"),
        ("[^[:space:]]", "x"),
        ("", "x"),
        ("é.", "aÉü"),
    ],
)
def test_an_expression_matches_anywhere_in_a_line(expression: str, line: str) -> None:
    assert lines(expression, f"\n{line}\n")[-1] == 2


@pytest.mark.parametrize("expression", ["a\nb", "[^c]{5}", r"a\sb", r"(?s)a.b"])
def test_no_match_spans_two_lines(expression: str) -> None:
    assert lines(expression, "a\nb\na\nb\n") == []


def test_words_are_no_expression() -> None:
    assert lines("a.b(", "axb(\nA.B(\n", literal=True) == [2]


def test_a_span_has_the_characters_of_the_match_and_of_its_line() -> None:
    text = "ü\r\n\r\nüü abc ü abc\r\nx"
    (span,) = find_lines(line_expression("abc"), text)
    assert span == Span(line=3, start=3, match_start=3, match_end=6)
    assert unix_lines(text)[span.start + span.match_start :].startswith("abc ü")


def test_pieces_of_a_long_text_are_searched_alike() -> None:
    chosen = random.Random(1)  # noqa: S311 - a seed makes it repeatable
    words = ["needle" if chosen.random() < 0.01 else "ü" * chosen.randrange(200) for _ in range(5_000)]
    expected = [number for number, word in enumerate(words, 1) if word == "needle"]
    assert lines("^needle$", "\n".join(words)) == expected


@pytest.mark.parametrize("expression", ["(", "(" * 5_000, "a{1001}", "(?P<a", r"(a)\1", "(?=a)", "\ud800"])
def test_an_invalid_expression_is_an_error_with_a_reason(expression: str) -> None:
    with pytest.raises(ExpressionError, match=r"is no regular expression: \S"):
        line_expression(expression)


@pytest.mark.parametrize("expression", ["a" * (MAX_CHARACTERS + 1), r"\pL{1000}", "(?:.{1000}|x){1}" * 50])
def test_an_expression_that_needs_much_memory_is_refused(expression: str) -> None:
    with pytest.raises(TooLargeError):
        Expression(expression)


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|a)*b", "(.*)*x", "(?:a?){30}a{30}b"])
def test_nested_repetitions_take_linear_time(expression: str) -> None:
    started = monotonic()
    assert not Expression(expression).matches("a" * 100_000 + "!")
    assert monotonic() - started < 5


def test_an_expression_may_be_too_large_for_a_long_line() -> None:
    with pytest.raises(TooLargeError, match="for a text of 1000000 bytes"):
        Expression(".{900}x").matches("a" * 1_000_000)


def test_a_search_can_be_given_up() -> None:
    with pytest.raises(ExpressionError, match="takes too long"):
        find_lines(line_expression("a"), "a\n" * 10, proceed=lambda: False)


@pytest.mark.parametrize(
    ("number", "first", "text"),
    [(1, 1, "1\n2\n3"), (2, 1, "1\n2\n3\n4"), (3, 1, "1\n2\n3\n4\n5"), (4, 2, "2\n3\n4\n5\n6"), (6, 4, "4\n5\n6")],
)
def test_a_block_reaches_two_lines_each_way_within_the_text(number: int, first: int, text: str) -> None:
    (block,) = blocks(TEXT, [number])
    assert (block.line, block.first, block.text) == (number, first, text)


def test_blocks_may_overlap() -> None:
    assert [block.text for block in blocks("a\na", lines("a", "a\na"))] == ["a\na", "a\na"]
