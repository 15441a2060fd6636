"""The statements of a step, with references as values to bind, never as text of a statement. Pure.

A reference such as ``${NAME}`` stands for one value. So does a whole literal with references: ``'%${NAME}%'``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from dagbook.executors.subprocess_executor import ProgramError
from dagbook.spec.model import POSTGRES, SQLITE
from dagbook.spec.reading.rendering import quote_text

REFERENCE = re.compile(r"\$\{[^{}]+\}|\$[A-Za-z0-9_]+")
_IN_LITERAL = re.compile(rf'"(\$\{{[^{{}}]+\}})"|{REFERENCE.pattern}')
# Comments, quoted names, and texts that are more than a literal: nothing can be bound in them.
_CLOSED = {
    POSTGRES: r"""/\*(?:/\*.*?\*/|.)*?\*/ | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
      | [eE]'(?:\\.|''|[^'\\])*' | (?:[bBxX]|[uU]&)'[^']*' """,
    SQLITE: r"/\*.*?\*/ | [xX]'[^']*' | `[^`]*` | \[[^]]*\]",
}
_TOKENS = {
    kind: re.compile(
        rf"""(?P<closed>--[^\n]* | "[^"]*" | {closed}) | '(?P<literal>(?:[^']|'')*)' | (?P<end>;)
          | (?P<reference>{REFERENCE.pattern}) | (?P<word>\w(?:\w|\$(?=\w))*) | [^\w;'"$`\[/-]+ | .""",
        re.VERBOSE | re.DOTALL,
    )
    for kind, closed in _CLOSED.items()
}
# INTERVAL '${N} days' is a cast, but one that only takes a literal.
_TYPES = r"date|interval|jsonb?|timetz|timestamptz|time(?:stamp)?(?:\s+with(?:out)?\s+time\s+zone)?|uuid"
_TYPE_BEFORE = re.compile(rf"\b({_TYPES})\s+\Z", re.IGNORECASE)
_LONGEST_TYPE = 40
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?")
_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)
_BLOCK = re.compile(r"\b(?:(begin|case)|(end))\b", re.IGNORECASE)


class Piece(msgspec.Struct, frozen=True):
    """A part of a statement, from ``start`` of the step's text on; one with a value has ``{}`` for its placeholder."""

    start: int
    text: str
    value: str | None = None
    is_literal: bool = False  # it stands in quotes there

    @property
    def guessed(self) -> str | int | float:
        """The value, as a number if it reads like one without quotes: for a database that expects no type."""
        value = self.value or ""
        number = None if self.is_literal else _NUMBER.fullmatch(value)
        return value if number is None else float(value) if number[1] else int(value)


class Statement(msgspec.Struct, frozen=True):
    """A statement in pieces; ``word`` is its first one, in capitals, at ``start`` of the step's text."""

    word: str
    start: int
    pieces: tuple[Piece, ...]

    @property
    def bound(self) -> list[Piece]:
        """The pieces with values."""
        return [piece for piece in self.pieces if piece.value is not None]

    def render(self, placeholders: Iterable[str]) -> str:
        """Return the statement with placeholders for its values."""
        return "".join(text for _, text in self._render(placeholders))

    def find(self, position: int, placeholders: Iterable[str]) -> int:
        """Return the position in the step's text of one in the rendered statement."""
        for piece, text in self._render(placeholders):
            if position < len(text):
                return piece.start + (position if piece.value is None else 0)
            position -= len(text)
        return self.pieces[-1].start

    def _render(self, placeholders: Iterable[str]) -> Iterator[tuple[Piece, str]]:
        rest = iter(placeholders)
        for piece in self.pieces:
            yield piece, piece.text if piece.value is None else piece.text.format(next(rest))


def split(text: str, kind: str, values: Mapping[str, str]) -> list[Statement]:
    """Split the text of a step into statements, with the values of its references. Raises ProgramError."""
    found, pieces = list[Statement](), list[Piece]()
    word, at, first, done = "", 0, 0, 0  # where that word stands, what comes before it begins, and the next piece does
    for token in _TOKENS[kind].finditer(f"{text}\n;"):
        start, end = token.span()
        if token["word"]:
            word, at = (word, at) if word else (token[0].upper(), start)
        elif token["end"] and (start > len(text) or _is_complete(text[first:start], kind)):
            if word:
                found.append(Statement(word, at, (*pieces, Piece(done, text[done:start]))))
            pieces, word, first, done = [], "", end, end
        elif token["closed"]:
            _refuse_references(token[0], values)
        elif (value := _value(token, values)) is not None:
            before, is_literal = text[done:start], token["literal"] is not None
            typed = _TYPE_BEFORE.search(before[-_LONGEST_TYPE:]) if is_literal else None
            plain = before.removesuffix(typed[0]) if typed else before
            form = f"CAST({{}} AS {typed[1]})" if typed else " {} "
            pieces += Piece(done, plain), Piece(start, form, value, is_literal)
            done = end
    return found


def _is_complete(text: str, kind: str) -> bool:
    """Whether a semicolon ends a statement: the bodies of triggers and functions have some of their own."""
    if kind == SQLITE:
        return sqlite3.complete_statement(f"{text};")
    blocks = _BLOCK.findall(text) if _BODY.search(text) else []
    return sum(1 if begins else -1 for begins, _ in blocks) == 0


def _value(token: re.Match[str], values: Mapping[str, str]) -> str | None:
    """Return the value to bind for a reference, or a literal with some; None for everything else."""

    def fill(found: re.Match[str]) -> str:
        reference = found[1] or found[0]
        if reference in values:
            return quote_text(values[reference]) if found[1] else values[reference]
        if token["reference"] or reference.startswith("${"):
            raise ProgramError(f"{reference} has no value; give it one in params, env or an output")
        return found[0]

    if token["reference"]:
        return _IN_LITERAL.sub(fill, token[0])
    content = (token["literal"] or "").replace("''", "'")
    filled = _IN_LITERAL.sub(fill, content)
    return None if filled == content else filled


def _refuse_references(closed: str, values: Mapping[str, str]) -> None:
    """Refuse a reference with a value where none can be bound; in comments it means nothing."""
    for reference in REFERENCE.findall(closed) if not closed.startswith(("--", "/*")) else ():
        if reference.startswith("${") and reference in values:
            raise ProgramError(
                f"{reference} stands in {closed[:20]}…, where no value can be bound; write it alone, or in '…'"
            )
