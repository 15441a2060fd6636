"""Rendering of YAML and JSON values as text (DAG format 1.3 and 5.7)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from dagbook.json_values import Json

# Above this JSON encoders use exponents.
_PLAIN_LIMIT = 1e21
_SAFE_DIGITS = 15  # fits a machine integer, which needs no Raw object
_LAST_ASCII, _LAST_SHORT = 0x7F, 0xFFFF
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_SMALLEST_PLAIN_EXPONENT, _LARGEST_PLAIN_EXPONENT = -4, 5


def render(value: object) -> str:
    """Render a YAML value: scalars by the format's rules, lists and maps in brackets, null empty."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return _render_float(value)
        case Mapping():
            members = sorted((render(key), render(member)) for key, member in value.items())
            return f"map[{' '.join(f'{key}:{member}' for key, member in members)}]"
        case list() | tuple():
            return f"[{' '.join(render(item) for item in value)}]"
        case _:
            return str(value)


def render_json(value: object) -> str:
    """Render a JSON value: strings raw, whole numbers without a fraction, lists and objects compact, null empty."""
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return compact(value)


def compact(value: object) -> str:
    """Render a value as JSON without blanks. Raises ValueError if it is too deeply nested."""
    try:
        return msgspec.json.encode(_with_plain_numbers(value)).decode()
    except RecursionError as error:
        raise ValueError("the JSON value is nested too deeply") from error


def quote_text(text: str) -> str:
    """Wrap a text in double quotes; quotes, backslashes and characters that do not print are escaped."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(map(_escape, text))}"'


def parse_json(text: str) -> Json:
    """Parse JSON text strictly. Raises ValueError if it is invalid, or too deeply nested."""
    try:
        value: Json = msgspec.json.decode(text)
    except RecursionError as error:
        raise ValueError("the JSON text is nested too deeply") from error
    return value


def sort_members(text: bytes) -> bytes:
    """Render JSON without blanks, the members of every object by name; numbers keep their spelling.

    Raises ValueError if it is invalid, or has half of a surrogate pair; RecursionError if it is too deeply nested.
    """
    value = json.loads(text.decode(), parse_int=_parse_int, parse_float=_as_written)
    return msgspec.json.encode(value, order="deterministic")


def _parse_int(text: str) -> int | msgspec.Raw:
    return int(text) if len(text) <= _SAFE_DIGITS and text != "-0" else _as_written(text)


def _as_written(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code <= _LAST_ASCII:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"


def _with_plain_numbers(value: object) -> object:
    match value:
        case float() if value.is_integer() and abs(value) < _PLAIN_LIMIT:
            return int(value)
        case Mapping():
            return {key: _with_plain_numbers(member) for key, member in value.items()}
        case str() | bytes():
            return value
        case Sequence():
            return [_with_plain_numbers(item) for item in value]
        case _:
            return value


def _render_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(value)).normalize()  # the fewest digits that give the same float again
    sign = "-" if number.is_signed() else ""
    exponent = number.adjusted()  # of the first digit
    if _SMALLEST_PLAIN_EXPONENT <= exponent <= _LARGEST_PLAIN_EXPONENT:
        return f"{number:f}" if value else f"{sign}0"
    digits = "".join(map(str, number.as_tuple().digits))
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{exponent:+03d}"
