"""Patterns of shells, expected texts, and the conditions that use them (DAG format 3.8, 3.11)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from dagbook.spec.model import Condition

_ELEMENT = re.compile(r"(?P<set>\[(?P<not>[!^])?(?P<members>\]?[^\]]*)\])|\\(?P<escaped>.)|.", re.DOTALL)
_SPECIAL_IN_SET = re.compile(r"([\\\[&~|])")


class Pattern:
    """A pattern, split at its stars; each element matches exactly one character."""

    def __init__(self, pieces: Iterable[tuple[str, bool]]) -> None:
        """Parse pieces of text, each with whether it is literal."""
        self._segments: list[list[str]] = [[]]
        for text, literal in pieces:
            for element in map(re.escape, text) if literal else _elements(text):
                if element != "*":
                    self._segments[-1].append(element)
                elif len(self._segments) == 1 or self._segments[-1]:
                    self._segments.append([])

    def longest(self) -> re.Pattern[str]:
        """Compile to a greedy expression."""
        return self._compile(".*")

    def shortest(self) -> re.Pattern[str]:
        """Compile to a lazy expression."""
        return self._compile(".*?")

    def reversed(self) -> Pattern:
        """Reverse the pattern, so that an end can be matched as a start."""
        turned = Pattern(())
        turned._segments = [segment[::-1] for segment in self._segments[::-1]]
        return turned

    def _compile(self, last_star: str) -> re.Pattern[str]:
        """Only the last star decides about the length; those before it match lazily and without backtracking."""
        first, *others = ("".join(segment) for segment in self._segments)
        middle = "".join(f"(?>.*?{segment})" for segment in others[:-1])
        end = f"{last_star}{others[-1]}" if others else ""
        try:
            return re.compile(first + middle + end, re.DOTALL)
        except re.error as error:
            raise ValueError("the pattern holds an impossible range") from error


def _elements(text: str) -> Iterable[str]:
    for found in _ELEMENT.finditer(text):
        if found["set"]:
            members = _SPECIAL_IN_SET.sub(r"\\\1", found["members"])
            yield f"[^{members}]" if found["not"] else f"[{members}]"
        elif found["escaped"]:
            yield re.escape(found["escaped"])
        else:
            yield {"*": "*", "?": "."}.get(found[0], re.escape(found[0]))


PREFIX = "re:"
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]", re.DOTALL)
_NAMED_SET = re.compile(r"\[:([a-z]+):\]|\\.|[\[&~|]", re.DOTALL)
_SETS = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}


def is_expression(text: str) -> bool:
    return text.startswith(PREFIX)


@lru_cache(maxsize=256)
def compile_expression(text: str) -> re.Pattern[str] | None:
    """Compile the expression after ``re:``; None if it is invalid."""
    try:
        return re.compile(_PIECE.sub(_as_python, text.removeprefix(PREFIX)), re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


def _as_python(piece: re.Match[str]) -> str:
    """Translate RE2 syntax to Python: the end of the text, and named character classes."""
    if piece[0] == r"\z":
        return r"\Z"
    if piece[0].startswith("["):
        return "[" + _NAMED_SET.sub(_as_set, piece[0][1:])
    return piece[0]


def _as_set(piece: re.Match[str]) -> str:
    if piece[1]:
        return _SETS.get(piece[1], piece[0])
    # Python warns that these may get a meaning inside a set.
    return piece[0] if piece[0].startswith("\\") else f"\\{piece[0]}"


ANOTHER_UNMET = "another condition was not met"
_LONGEST_SHOWN = 1024


def matches(value: str, expected: str) -> bool:
    """Whether any line of a value equals the expected text, or matches the expression after ``re:``."""
    lines = [line.removesuffix("\r") for line in value.split("\n")]
    if len(lines) > 1 and not lines[-1]:  # an empty text has one empty line
        lines.pop()
    if not is_expression(expected):
        return expected in lines
    expression = compile_expression(expected)
    return expression is not None and any(expression.search(line) for line in lines)


def check_value(condition: Condition, value: str, shown: str | None = None) -> str:
    """Compare an evaluated condition with its expected value; return a message, empty if it is met.

    ``shown`` is the value for display, if that differs.
    """
    if matches(value, condition.expected) == condition.negate:
        return unmet_message(condition, value=value if shown is None else shown)
    return ""


def check_exit(condition: Condition, exit_code: int) -> str:
    """Check a condition that was run as a command; return a message, empty if it is met."""
    if (exit_code == 0) == condition.negate:
        return unmet_message(condition, exit_code=exit_code)
    return ""


def unmet_message(condition: Condition, *, value: str = "", exit_code: int = 0) -> str:
    if condition.expected:
        wanted = "anything but" if condition.negate else "expected"
        shown = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…"
        return f'condition not met: {wanted} "{condition.expected}", but the value is "{shown}"'
    if condition.negate:
        return "condition not met: the command succeeded, and negate asks that it fails"
    return f"condition not met: the command ended with exit status {exit_code}"


def all_messages(messages: Sequence[str]) -> tuple[str, ...]:
    """Return the message of each condition: if one is unmet, the others say so too."""
    other = ANOTHER_UNMET if any(messages) else ""
    return tuple(message or other for message in messages)


def output_matches(lines: Iterable[str], patterns: Sequence[str]) -> bool:
    """Whether a line of output contains any of the patterns; an invalid expression matches nothing."""
    texts = [pattern for pattern in patterns if not is_expression(pattern)]
    compiled = (compile_expression(pattern) for pattern in patterns if is_expression(pattern))
    expressions = [expression for expression in compiled if expression is not None]
    return any(
        any(text in line for text in texts) or any(expression.search(line) for expression in expressions)
        for line in lines
    )
