"""Expected texts and patterns: exact or contained, or a regular expression after ``re:`` (DAG format 3.8, 3.11)."""

from __future__ import annotations

import re
from functools import lru_cache

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
