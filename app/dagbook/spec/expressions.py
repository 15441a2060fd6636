"""Regular expressions of users, in RE2: no expression takes more than linear time, and memory is bounded.

The time of a search is at most the length of the text times the size of the compiled expression, so both have limits.
A search releases the GIL: in a thread it disturbs no event loop.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator

import msgspec
import re2

MAX_CHARACTERS = 10_000  # of an expression
_MAX_MEMORY = 1024 * 1024  # of each of the 128 compiled expressions that the library keeps
MAX_WORK = 4_000_000_000  # bytes of text times instructions of the program, two seconds of a core at worst
_LINE_END = ord("\n")
_PIECE_BYTES = 64 * 1024  # that are searched at a time; hardly an expression is too large for this
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ANCHORS = {"A": "^", "z": "$"}


class ExpressionError(ValueError):
    """An expression that is invalid, or too large for a text; the message is the end of a sentence."""


class TooLargeError(ExpressionError):
    """An expression that is too large, or too large for a text."""


class Span(msgspec.Struct, frozen=True):
    """A matching line: its number from 1, its start in the text, and both ends of its first match in the line."""

    line: int
    start: int
    match_start: int
    match_end: int


class Expression:
    """A compiled expression. Raises ExpressionError for an invalid one."""

    def __init__(self, text: str, **options: bool) -> None:
        if len(text) > MAX_CHARACTERS:
            raise TooLargeError(f"has {len(text)} characters; give at most {MAX_CHARACTERS}")
        chosen = re2.Options()
        chosen.max_mem = _MAX_MEMORY
        chosen.log_errors = False
        for name, value in options.items():
            setattr(chosen, name, value)
        try:
            self.compiled = re2.compile(text, chosen)
        except re2.error as error:
            raise _error(error.args[0]) from None
        except UnicodeEncodeError:
            raise ExpressionError("is no regular expression: it has half of a surrogate pair") from None
        self.size = max(self.compiled.programsize, 1)

    def matches(self, text: str) -> bool:
        """Whether it matches anywhere in a text. Raises TooLargeError if it is too large for the text."""
        return self.find(text.encode(errors="replace")) is not None

    def find(self, data: bytes, start: int = 0, end: int = sys.maxsize) -> tuple[int, int] | None:
        """Return both ends of the first match between two positions of a UTF-8 text. Raises TooLargeError."""
        end = min(end, len(data))
        self.check_work(end - start)
        found = self.compiled.search(data, start, end)
        return found.span() if found else None

    def check_work(self, size: int) -> None:
        """Raise TooLargeError if a text of that many bytes would take long."""
        if size * self.size > MAX_WORK:
            raise TooLargeError(f"is too large for a text of {size} bytes; make it shorter, or its repetitions")


def _error(reason: bytes | str) -> ExpressionError:
    text = reason if isinstance(reason, str) else reason.decode(errors="replace")
    return (
        TooLargeError("is too large")
        if text.startswith("pattern too large")
        else ExpressionError(f"is no regular expression: {text}")
    )


def line_expression(text: str, *, literal: bool = False, ignore_case: bool = False) -> Expression:
    """Compile an expression, or a literal text, for `find_lines`. Raises ExpressionError."""
    options = {"never_nl": True, "case_sensitive": not ignore_case, "literal": literal}
    if literal:
        return Expression(text, **options)
    Expression(text)  # an error shows the text as it was given
    return Expression("(?m)" + _ESCAPED.sub(lambda found: _ANCHORS.get(found[1], found[0]), text), **options)


def find_lines(
    expression: Expression, text: str, *, most: int = sys.maxsize, proceed: Callable[[], bool] = lambda: True
) -> list[Span]:
    """Find the lines that match an expression, the first ``most`` of them; line ends are those of `unix_lines`.

    Raises ExpressionError if ``proceed``, which is asked from time to time, says no.
    """
    data = unix_lines(text).encode(errors="replace")
    found: list[Span] = []
    number, place, characters = 1, 0, 0  # of the line that matched last
    for start, end in _pieces(data):
        if not proceed():
            raise ExpressionError("takes too long; make it shorter, or its repetitions")
        position = start
        while position < end and len(found) < most and (match := expression.find(data, position, end)):
            if match[0] == end and data[end - 1] == _LINE_END:  # behind the last line
                break
            begin = max(data.rfind(b"\n", position, match[0]) + 1, position)
            number += data.count(b"\n", place, begin)
            characters, place = characters + _count(data[place:begin]), begin
            before = _count(data[begin : match[0]])
            found.append(Span(number, characters, before, before + _count(data[match[0] : match[1]])))
            position = data.find(b"\n", match[1], end) + 1 or end
    return found


def unix_lines(text: str) -> str:
    """Return a text with each of its line ends as one character; a carriage return elsewhere is no line end."""
    return text.replace("\r\n", "\n").removesuffix("\r")


def _pieces(data: bytes) -> Iterator[tuple[int, int]]:
    """Split into complete lines of little more than a size together."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start + _PIECE_BYTES) + 1 or len(data)
        yield start, end
        start = end


def _count(data: bytes) -> int:
    return len(data.decode(errors="ignore"))  # an empty match may be within a character
