"""Shell arithmetic on 64-bit integers, as in ``$((A + 2))``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

Lookup = Callable[[str], str | None]
_TOKEN = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+|[0-9]+)|([A-Za-z_][A-Za-z0-9_]*)|(\*\*|<<|>>|[<>=!]=|&&|\|\||[-+*/%<>&|^!~?:()]))"
)
_NUMBER = re.compile(r"\s*([-+]?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})\s*")
_LONGEST_NUMBER = 1_000  # with the blanks around it; a variable may have megabytes of them
_BITS = 64
_RIGHT_TO_LEFT = "**"
_LEVELS = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("<<", ">>"),
    ("+", "-"), ("*", "/", "%"), ("**",),
)  # fmt: skip
_PRECEDENCE = {sign: level for level, signs in enumerate(_LEVELS) for sign in signs}
_UNARY: dict[str, Callable[[int], int]] = {
    "-": operator.neg,
    "+": operator.pos,
    "~": operator.invert,
    "!": operator.not_,
}


def evaluate(text: str, lookup: Lookup) -> int:
    """Evaluate an expression; a name without a number is 0. Raises ValueError for bad syntax and division by zero."""
    return _Expression(_tokens(text), lookup).value()


def _tokens(text: str) -> list[str]:
    tokens, position, text = [], 0, text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"{text!r} is no arithmetic expression")
        tokens.append(found[0].strip())
        position = found.end()
    return tokens


class _Expression:
    """Recursive-descent evaluator over tokens."""

    def __init__(self, tokens: list[str], lookup: Lookup) -> None:
        self._tokens = tokens
        self._position = 0
        self._lookup = lookup

    def value(self) -> int:
        result = self._choice()
        if self._position < len(self._tokens):
            raise ValueError(f"{self._peek()!r} has no position here")
        return result

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        self._position += 1
        return self._tokens[self._position - 1] if self._position <= len(self._tokens) else ""

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise ValueError(f"{sign!r} is missing")

    def _choice(self) -> int:
        condition = self._binary(0)
        if self._peek() != "?":
            return condition
        self._next()
        yes = self._choice()
        self._expect(":")
        no = self._choice()
        return yes if condition else no

    def _binary(self, lowest: int) -> int:
        left = self._operand()
        while _PRECEDENCE.get(self._peek(), -1) >= lowest:
            sign = self._next()
            level = _PRECEDENCE[sign]
            right = self._binary(level if sign == _RIGHT_TO_LEFT else level + 1)
            left = _wrap(int(_BINARY[sign](left, right)))
        return left

    def _operand(self) -> int:
        word = self._next()
        if word == "(":
            inside = self._choice()
            self._expect(")")
            return inside
        if word in _UNARY:
            return _wrap(_UNARY[word](self._operand()))
        if word[:1].isdigit():
            return _number(word)
        if word[:1].isalpha() or word[:1] == "_":
            return _number(self._lookup(word) or "")
        raise ValueError("a value is missing")


def _number(text: str) -> int:
    """Parse a number, also hexadecimal or octal; any other text is 0."""
    found = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if found is None:
        return 0
    sign, digits = found[1], found[2]
    base = 16 if digits[:2] in {"0x", "0X"} else 8 if digits[0] == "0" else 10
    return _wrap(int(sign + digits, base))


def _wrap(value: int) -> int:
    half = 1 << (_BITS - 1)
    return (value + half) % (1 << _BITS) - half


def _divide(left: int, right: int) -> int:
    if right == 0:
        raise ValueError("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _power(base: int, exponent: int) -> int:
    if exponent < 0:
        raise ValueError("the exponent is negative")
    return pow(base, exponent, 1 << _BITS)


_BINARY: dict[str, Callable[[int, int], int]] = {
    "||": lambda left, right: bool(left) or bool(right),
    "&&": lambda left, right: bool(left) and bool(right),
    "|": operator.or_,
    "^": operator.xor,
    "&": operator.and_,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "<<": lambda left, right: left << right % _BITS,
    ">>": lambda left, right: left >> right % _BITS,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": lambda left, right: left - right * _divide(left, right),
    "**": _power,
}
