"""Expansion of ``$`` as in a shell here-document, without running anything (DAG format 5.5 step 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from dagbook.spec.expansion import arithmetic
from dagbook.spec.expansion.patterns import Pattern
from dagbook.spec.expansion.requests import InsertedValues, Work, refuse_beyond_measure
from dagbook.spec.expansion.substitution import Variables

Lookup = Callable[[str], str | None]
_PLAIN = re.compile(r"\$(?:\{([^}]*)\}|([*#$@!?0-9-]|[A-Za-z_][A-Za-z0-9_]*))")
_PLAIN_AND_OPEN = re.compile(r"\$(?:\{()|([*#$@!?0-9-]|[A-Za-z_][A-Za-z0-9_]*))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[#?@*!$-]")
_SHORT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9#?@*!$-]")
_OPERATOR = re.compile(r":[-+?=]|[-+?=]|%%?|##?|//?|\^\^?|,,?|:")
_ORDINARY = re.compile(r"[^\\$`]+")
_ORDINARY_IN_ARITHMETIC = re.compile(r"[^\\$`()]+")
_ORDINARY_IN_OPERAND = re.compile("[^\\\\$`'\"}/:\ud800]+")
_VALUE = re.compile("\ud800[0-9]+\ud801")
_ORDINARY_IN_QUOTES = re.compile(r'[^\\$`"]+')
_FOUND_WORK = 64  # of a match
_ELEMENT_WORK = 16  # of an element of a pattern, or a character of an arithmetic expression
_CASE_WORK = 3  # of a character whose case is changed, besides itself
_ESCAPED_IN_QUOTES = frozenset('$`"\\')


class _Piece(msgspec.Struct, frozen=True):
    """Part of an operand; a literal one has no special meaning in a pattern, a value none as the home directory."""

    text: str
    literal: bool = False
    value: bool = False


def expand_shell(text: str, variables: Variables, values: InsertedValues, home: str, work: Work) -> str:
    """Expand ``$NAME``, ``${NAME:-default}``, ``$((1 + 2))`` and a leading ``~``; unset names are empty.

    ``values`` are those that stand in the text as marks. A text with ``$(...)``, or with invalid shell syntax, is
    expanded by ``expand_plain`` instead.
    """
    if "$" not in text and "`" not in text and "\\\n" not in text:
        return values.fill(_at_home(text, home))

    def look_up(name: str) -> str | None:
        return next((known[name] for known in (*variables.maps, variables.environ) if name in known), None)

    try:
        return _Reader(_at_home(text, home), look_up, values.fill, home, work).document()
    except (ValueError, RecursionError):
        return values.fill(expand_plain(text, variables.environ))


def expand_plain(text: str, environ: Mapping[str, str]) -> str:
    """Replace ``$NAME`` and ``${NAME}`` from the environment alone; unknown names are empty."""

    def value_of(match: re.Match[str]) -> str:
        return environ.get(match[1] or match[2] or "", "")

    # Behind the last closing brace each opening one would be followed to the end of the text.
    end = text.rfind("}") + 1
    return replace_each(_PLAIN, text[:end], value_of) + replace_each(_PLAIN_AND_OPEN, text[end:], value_of)


def replace_each(pattern: re.Pattern[str], text: str, resolve: Callable[[re.Match[str]], str]) -> str:
    """Replace each match by the result of ``resolve``; raises ExpansionError for a result that is too long."""
    pieces: list[str] = []
    position = size = 0
    for match in pattern.finditer(text):
        value = resolve(match)
        pieces += (text[position : match.start()], value)
        position = match.end()
        size += len(value)
        refuse_beyond_measure(size)
    return "".join((*pieces, text[position:])) if pieces else text


def _at_home(text: str, home: str) -> str:
    return home + text[1:] if text == "~" or text.startswith("~/") else text


class _Reader:
    """Expands a text in one pass. Raises ValueError for invalid syntax and for commands."""

    def __init__(self, text: str, look_up: Lookup, fill: Callable[[str], str], home: str, work: Work) -> None:
        self._text = text
        self._place = 0
        self._look_up = look_up
        self._fill = fill
        self._home = home
        self._work = work

    def document(self) -> str:
        """Expand the whole text; quotes are ordinary characters."""
        pieces = []
        size = 0
        while self._place < len(self._text):
            pieces.append(self._piece(_ORDINARY))
            size += len(pieces[-1])
            refuse_beyond_measure(size)
        return "".join(pieces)

    def _piece(self, ordinary: re.Pattern[str]) -> str:
        character = self._text[self._place]
        if character == "$":
            return self._reference()
        if character == "`":
            raise ValueError("a command would have to run")
        if character == "\\":
            escape = self._take(2)
            return "" if escape == "\\\n" else escape
        found = ordinary.match(self._text, self._place)
        return self._fill(self._take(found.end() - self._place if found else 1))

    def _take(self, count: int) -> str:
        taken = self._text[self._place : self._place + count]
        self._place += count
        return taken

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._place)

    def _skip(self, text: str) -> None:
        if not self._peek(text):
            raise ValueError(f"{text} is missing")
        self._place += len(text)

    def _reference(self) -> str:
        """Expand the reference after a dollar sign."""
        self._skip("$")
        if self._peek("(("):
            return self._arithmetic()
        if self._peek("("):
            raise ValueError("a command would have to run")
        if self._peek("{"):
            return self._braces()
        found = _SHORT_NAME.match(self._text, self._place)
        return (self._look_up(self._take(len(found[0]))) or "") if found else "$"

    def _arithmetic(self) -> str:
        self._skip("((")
        pieces: list[str] = []
        depth = size = 0
        while depth or not self._peek("))"):
            if self._place >= len(self._text):
                raise ValueError(")) is missing")
            depth += {"(": 1, ")": -1}.get(self._text[self._place], 0)
            pieces.append(self._piece(_ORDINARY_IN_ARITHMETIC))
            size += len(pieces[-1])
            refuse_beyond_measure(size)
        self._skip("))")
        return str(self._calculate("".join(pieces)))

    def _calculate(self, text: str) -> int:
        self._work.count(_ELEMENT_WORK * len(text))
        return arithmetic.evaluate(text, self._look_up)

    def _number(self, text: str) -> int:
        return self._calculate(_Reader(text, self._look_up, self._fill, self._home, self._work).document())

    def _braces(self) -> str:
        self._skip("{")
        if self._peek("#") and not self._peek("#}"):
            self._skip("#")
            value = self._look_up(self._name()) or ""
            self._skip("}")
            return str(len(value))
        known = self._look_up(self._name())
        found = _OPERATOR.match(self._text, self._place)
        if found is None:
            self._skip("}")
            return known or ""
        self._place = found.end()
        return self._operated(found[0], known)

    def _name(self) -> str:
        found = _NAME.match(self._text, self._place)
        if found is None:
            raise ValueError("a name is missing")
        return self._take(len(found[0]))

    def _operated(self, sign: str, known: str | None) -> str:
        """Apply one operator of ``${NAME...}`` to the value, and skip the closing brace."""
        value = known or ""
        if sign == ":":
            return self._cut(value)
        if sign in {"/", "//"}:
            return self._replaced(value, everywhere=sign == "//")
        operand = self._operand("}")
        self._skip("}")
        if sign[-1] in "-+?=":
            return self._alternative(sign, known, operand)
        pattern = self._pattern(operand)
        self._work.count(len(value))
        if sign[0] in "^,":
            self._work.count(_CASE_WORK * len(value))
            return _with_case(sign, value, pattern if operand else Pattern([("?", False)]))
        return _without_end(sign, value, pattern)

    def _pattern(self, operand: Sequence[_Piece]) -> Pattern:
        self._work.count(_ELEMENT_WORK * sum(len(piece.text) for piece in operand))
        return Pattern((piece.text, piece.literal) for piece in operand)

    def _alternative(self, sign: str, value: str | None, operand: Sequence[_Piece]) -> str:
        given = bool(value) or (value is not None and sign[0] != ":")
        if sign[-1] == "+":
            return self._word(operand) if given else ""
        if given:
            return value or ""
        if sign[-1] != "-":
            raise ValueError("the variable would have to be set")
        return self._word(operand)

    def _word(self, operand: Sequence[_Piece]) -> str:
        text = "".join(piece.text for piece in operand)
        return text if not operand or operand[0].literal or operand[0].value else _at_home(text, self._home)

    def _cut(self, value: str) -> str:
        """Expand ``${NAME:start:length}``; negative numbers count from the end."""
        start_text = self._text_until(":}")
        length_text = None
        if self._peek(":"):
            self._skip(":")
            length_text = self._text_until("}")
        elif not start_text.strip():
            raise ValueError("a start is missing")
        self._skip("}")
        start = self._number(start_text) if start_text.strip() else 0
        start = start + len(value) if start < 0 else start
        if not 0 <= start <= len(value):
            return ""
        length = len(value) if length_text is None else self._number(length_text)
        end = length + len(value) if length < 0 else start + length
        if end < start:
            raise ValueError("the end lies before the start")
        return value[start:end]

    def _text_until(self, stops: str) -> str:
        return "".join(piece.text for piece in self._operand(stops))

    def _replaced(self, value: str, *, everywhere: bool) -> str:
        pattern = self._pattern(self._operand("/}")).longest()
        new = ""
        if self._peek("/"):
            self._skip("/")
            new = self._text_until("}")
        self._skip("}")
        self._work.count(len(value))
        found = []
        for match in pattern.finditer(value):
            self._work.count(_FOUND_WORK)
            if match[0]:
                found.append(match.span())
            if found and not everywhere:
                break
        refuse_beyond_measure(len(value) + len(found) * len(new))
        pieces: list[str] = []
        position = 0
        for start, end in found:
            pieces += (value[position:start], new)
            position = end
        return "".join((*pieces, value[position:]))

    def _operand(self, stops: str) -> list[_Piece]:
        """Read up to one of the stops, which is not consumed."""
        pieces: list[_Piece] = []
        size = 0
        while self._place < len(self._text) and self._text[self._place] not in stops:
            pieces.append(self._operand_piece())
            size += len(pieces[-1].text)
            refuse_beyond_measure(size)
        self._work.count(size)
        return pieces

    def _operand_piece(self) -> _Piece:
        character = self._text[self._place]
        if character == "$":
            return _Piece(self._reference(), value=True)
        if found := _VALUE.match(self._text, self._place):
            return _Piece(self._fill(self._take(len(found[0]))), value=True)
        if character == "'":
            end = self._text.find("'", self._place + 1)
            if end < 0:
                raise ValueError("a quote is not closed")
            return _Piece(self._take(end + 1 - self._place)[1:-1], literal=True)
        if character == '"':
            return _Piece(self._quoted(), literal=True)
        return _Piece(self._piece(_ORDINARY_IN_OPERAND))

    def _quoted(self) -> str:
        self._skip('"')
        pieces = []
        while not self._peek('"'):
            if self._place >= len(self._text):
                raise ValueError("a quote is not closed")
            piece = self._piece(_ORDINARY_IN_QUOTES)
            escaped = piece[:1] == "\\" and piece[1:] in _ESCAPED_IN_QUOTES
            pieces.append(piece[1:] if escaped else piece)
        self._skip('"')
        return "".join(pieces)


def _with_case(sign: str, value: str, pattern: Pattern) -> str:
    """Change the case of the first character, or of all, where they match."""
    change = str.upper if sign[0] == "^" else str.lower
    matches = pattern.longest().fullmatch
    count = len(value) if len(sign) > 1 else 1
    return "".join(change(one) if matches(one) else one for one in value[:count]) + value[count:]


def _without_end(sign: str, value: str, pattern: Pattern) -> str:
    """Remove the shortest or longest match from the start (``#``) or the end (``%``)."""
    if sign[0] == "%":
        return _without_end("#" * len(sign), value[::-1], pattern.reversed())[::-1]
    found = (pattern.longest() if len(sign) > 1 else pattern.shortest()).match(value)
    return value[found.end() :] if found else value
