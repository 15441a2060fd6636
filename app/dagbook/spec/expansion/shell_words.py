"""Splitting of a command line into words, and joining of a command list (DAG format 3.4)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

_ESCAPE = r"\\(?:[abfnrtv\\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
_LITERAL = re.compile(rf'(?:[^"\\\n]|{_ESCAPE})*')
_ESCAPED = re.compile(_ESCAPE)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
# An unclosed quote protects everything that follows it.
_TOKEN = re.compile(
    r"""(?P<blank>\s+)
      | (?P<operator>\|\||&&)
      | (?P<pipe>\|)
      | (?P<piece>\\.? | "(?:\\.|[^"\\])*(?:"|\\?\Z) | '(?:\\.|[^'\\])*(?:'|\\?\Z) | `(?:\\.|[^`\\])*(?:`|\\?\Z)
                | [^\s|&\\"'`]+ | & )""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED_PAIR = re.compile(r'[^\s"=]+=".*"', re.DOTALL)
_FIRST_SURROGATE, _LAST_SURROGATE = 0xD800, 0xDFFF
_QUOTES = ('"', "'")


def split(text: str) -> list[str]:
    """Split a line into words; ``|``, ``||`` and ``&&`` are words too. Raises ValueError if there is no word."""
    segments: list[list[str]] = [[]]
    for kind, word in _words(text):
        if kind == "pipe":
            segments.append([])
        else:
            segments[-1].append(word if kind == "operator" else _bare(word))
    joined: list[str] = []
    for segment in filter(None, segments):
        joined += ["|", *segment] if joined else segment
    if not joined:
        raise ValueError("the text holds no word to run")
    return joined


def join_list(items: Iterable[str]) -> str:
    """Build the shell line of a command list; only items with a space are quoted, so that all else is evaluated."""
    return " ".join(quote(item) if needs_quotes(item) else item for item in items)


def needs_quotes(item: str) -> bool:
    """Whether an item of a command list has a space outside of quotes of its own."""
    is_quoted = len(item) >= len("''") and item[0] in _QUOTES and item[0] == item[-1]
    return " " in item and not is_quoted and not _QUOTED_PAIR.fullmatch(item)


def quote(item: str) -> str:
    """Put an item of a command list into double quotes."""
    return '"' + item.replace('"', '\\"') + '"'


def has_blanks(text: str) -> bool:
    """Whether a text has blanks outside of quotes and backticks, after its beginning and before its end."""
    return any(token.lastgroup == "blank" for token in _TOKEN.finditer(text.strip()))


def _words(text: str) -> Iterable[tuple[str, str]]:
    """Yield words, operators and pipes; adjoining pieces make one word."""
    pieces: list[str] = []
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "piece":
            pieces.append(token[0])
            continue
        if pieces:
            yield "word", "".join(pieces)
            pieces = []
        if token.lastgroup != "blank":
            yield str(token.lastgroup), token[0]
    if pieces:
        yield "word", "".join(pieces)


def _bare(word: str) -> str:
    """Remove the quotes of a word that starts and ends with the same one."""
    if len(word) < len("''") or word[0] not in _QUOTES or word[0] != word[-1]:
        return word
    inside = word[1:-1]
    if word[0] == '"' and _LITERAL.fullmatch(inside):
        return _ESCAPED.sub(_unescape, inside)
    return inside


def _unescape(escape: re.Match[str]) -> str:
    body = escape[0][1:]
    if body in _SIMPLE:
        return _SIMPLE[body]
    code = int(body[1:], 16) if body[0] in "xuU" else int(body, 8)
    is_character = code <= sys.maxunicode and not _FIRST_SURROGATE <= code <= _LAST_SURROGATE
    return chr(code) if is_character else escape[0]
