"""The values of scalars, by the notations that the format resolves (DAG format 1.2)."""

from __future__ import annotations

import math
import re

from dagbook.spec.problem import quoted

Scalar = None | bool | int | float | str

TAG_PREFIX = "tag:yaml.org,2002:"
SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_NUMBER_STARTS = frozenset("0123456789+-.")
_INTEGERS = (
    (re.compile(r"[-+]?0x[0-9a-fA-F_]+"), "0x", 16),
    (re.compile(r"[-+]?0b[01_]+"), "0b", 2),
    (re.compile(r"[-+]?0o[0-7_]+"), "0o", 8),
    (re.compile(r"[-+]?0[0-7_]+"), "", 8),
    (re.compile(r"[-+]?(?:0|[1-9][0-9_]*)"), "", 10),
)
# Enough for 64 binary digits and a sign; int() of thousands of digits is slow, or refused.
_LONGEST_INTEGER = 80
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")


def resolve_plain(text: str) -> Scalar:
    """Resolve an unquoted scalar without a tag."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    whole = _read_integer(text)
    if whole is not None:
        return whole
    number = float(text.replace("_", "")) if _FLOAT.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text


def resolve_tagged(tag: str, text: str) -> Scalar:
    """Resolve a scalar with an explicit tag; raises ValueError with the reason if it does not fit."""
    kind = tag.removeprefix(TAG_PREFIX)
    if kind in ("!", "str", "timestamp"):
        return text
    value = resolve_plain(text)
    if kind == "float" and type(value) is int:
        return float(value)
    wanted = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(kind)
    if wanted is None:
        raise ValueError(f"the tag {quoted(tag)} is not known here; leave it out")
    if type(value) is not wanted:
        raise ValueError(f"{quoted(text)} does not fit its tag !!{kind}")
    return value


def _read_integer(text: str) -> int | None:
    """Parse one of the integer notations; too large a number stays text, as in the format."""
    for pattern, mark, base in _INTEGERS:
        if pattern.fullmatch(text):
            digits = text.replace("_", "").replace(mark, "", 1)
            if not digits.strip("+-") or len(digits) > _LONGEST_INTEGER:
                return None
            number = int(digits, base)
            return number if SMALLEST_INTEGER <= number <= LARGEST_INTEGER else None
    return None
