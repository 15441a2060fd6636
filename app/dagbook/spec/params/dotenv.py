"""Parser of dotenv files (DAG format 2.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dagbook.spec.expansion.requests import refuse_beyond_measure
from dagbook.spec.expansion.shell_expansion import replace_each
from dagbook.spec.model import Pair
from dagbook.spec.problem import ExpansionError

_SKIPPED = re.compile(r"(?:\s|#[^\n]*)*")
_KEY = re.compile(r"(?:export[ \t]+)?([A-Za-z0-9_.-]+)[ \t]*[=:][ \t]*")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_REST = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|\Z)")
_REFERENCE = re.compile(r"\\(.)|\$(?:\{([A-Za-z0-9_.-]+)\}|([A-Za-z_][A-Za-z0-9_]*))", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_MOST_PAIRS = 1_000  # as of ``env``


def parse(text: str) -> tuple[Pair, ...]:
    """Parse ``KEY=value`` or ``KEY: value`` lines. Raises ValueError with the line that cannot be read."""
    known: dict[str, str] = {}
    pairs: list[Pair] = []
    text = text.removeprefix("\ufeff")
    position, size = _skipped(text, 0), 0
    while position < len(text):
        if len(pairs) == _MOST_PAIRS:
            raise ValueError(f"line {_line(text, position)}: there are more than {_MOST_PAIRS:,} variables")
        key = _KEY.match(text, position)
        if key is None:
            raise ValueError(f"line {_line(text, position)}: KEY=value is expected")
        try:
            value, position = _value(text, key.end(), known)
            size += len(value)
            refuse_beyond_measure(size)
        except ExpansionError as error:
            raise ValueError(f"line {_line(text, position)}: {error}") from error
        known[key[1]] = value
        pairs.append(Pair(key[1], value))
        position = _skipped(text, position)
    return tuple(pairs)


def _skipped(text: str, position: int) -> int:
    found = _SKIPPED.match(text, position)
    return found.end() if found else position


def _value(text: str, position: int, known: Mapping[str, str]) -> tuple[str, int]:
    """Parse a value and the rest of its line: single quotes are literal, double quotes have escapes."""
    quote = text[position : position + 1]
    if quote not in {"'", '"'}:
        bare = _BARE.match(text, position)
        written = bare[0] if bare else ""
        return _replaced(_COMMENT.sub("", written).strip(), known, escapes={}), position + len(written)
    found = (_SINGLE if quote == "'" else _DOUBLE).match(text, position)
    rest = _REST.match(text, found.end()) if found else None
    if found is None or rest is None:
        raise ValueError(f"line {_line(text, position)}: the quoted value has no proper end")
    value = found[1] if quote == "'" else _replaced(found[1], known, escapes=_ESCAPES)
    return value, rest.end()


def _replaced(text: str, known: Mapping[str, str], *, escapes: Mapping[str, str]) -> str:
    """Substitute earlier keys; a backslash escapes the dollar sign after it."""

    def replacement(match: re.Match[str]) -> str:
        escaped: str | None = match[1]
        if escaped is None:
            return known.get(match[2] or match[3], "")
        if escapes:
            return escapes.get(escaped, escaped)
        return escaped if escaped == "$" else str(match[0])

    return replace_each(_REFERENCE, text, replacement)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
