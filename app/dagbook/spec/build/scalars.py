"""Readers of texts, numbers and booleans, without coercion (DAG format 1.4)."""

from __future__ import annotations

import math

from dagbook.spec.build import hints
from dagbook.spec.build.field import Field
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render

TRUE_WORDS = frozenset({"1", "t", "T", "true", "True", "TRUE"})
FALSE_WORDS = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_FIRST_TOO_LARGE = 2**63
_LONGEST_SECONDS = 100 * 365 * 24 * 60 * 60


def text(field: Field) -> str | None:
    """Read a text unchanged."""
    if isinstance(field.value, str):
        return field.value
    field.expect("text", "; put it in quotes" if isinstance(field.value, int | float) else "")
    return None


def trimmed(field: Field) -> str | None:
    """Read a text without surrounding blanks."""
    found = text(field)
    return None if found is None else found.strip()


def boolean(field: Field) -> bool | None:
    if isinstance(field.value, bool):
        return field.value
    field.expect("true or false", hints.for_flag(field.value))
    return None


def integer(field: Field) -> int | None:
    """Read a whole number; a fraction is cut off, and so are more seconds than a date can be away."""
    value = field.value
    seconds = field.path.endswith("Sec")
    if is_number(value) and math.isfinite(value) and -_FIRST_TOO_LARGE <= value < _FIRST_TOO_LARGE:
        return min(int(value), _LONGEST_SECONDS) if seconds else int(value)
    wanted = "a whole number" + (" within 64 bits" if is_number(value) else " of seconds" if seconds else "")
    field.expect(wanted, hints.for_number(value, seconds=seconds))
    return None


def natural(field: Field) -> int | None:
    """Read a whole number; negative values count as 0."""
    number = integer(field)
    return None if number is None else max(number, 0)


def non_negative(field: Field) -> int | None:
    """Read a whole number from 0 on."""
    number = integer(field)
    if number is not None and number < 0:
        field.refuse(f"must not be negative, as {number} is")
        return None
    return number


def non_zero(field: Field) -> int | None:
    """Read a whole number; 0 is the default."""
    return integer(field) or None


def integers(field: Field) -> tuple[int, ...] | None:
    if not isinstance(field.value, list):
        field.expect("a list of whole numbers", hints.for_list(field.value))
        return None
    numbers = [integer(item) for item in field.items()]
    return tuple(number for number in numbers if number is not None)


def texts(field: Field) -> tuple[str, ...] | None:
    if not isinstance(field.value, list):
        field.expect("a list of texts", hints.for_list(field.value))
        return None
    found = [text(item) for item in field.items()]
    return tuple(entry for entry in found if entry is not None)


def text_or_texts(field: Field) -> tuple[str, ...] | None:
    """Read one text, or a list of texts."""
    if isinstance(field.value, str):
        return (field.value,)
    if isinstance(field.value, list):
        return texts(field)
    field.expect("a text or a list of texts")
    return None


def texts_or_scalars(field: Field) -> tuple[str, ...] | None:
    """Read one text, or a list of scalars as texts."""
    if not isinstance(field.value, list):
        return text_or_texts(field)
    found = [render_scalar(item) if item.value is not None else text(item) for item in field.items()]
    return tuple(entry for entry in found if entry is not None)


def log_output(field: Field) -> str | None:
    """Read whether a step has one log for both streams; an empty text is the default (1.30, 5)."""
    word = trimmed(field)
    if word is None or word.lower() in ("separate", "merged", ""):
        return "separate" if word == "" else word and word.lower()
    field.refuse(f"must be separate or merged, not {quoted(word)}")
    return None


def text_map(field: Field) -> dict[str, str] | None:
    """Read a map of texts; keys and values lose surrounding blanks."""
    if not isinstance(field.value, dict):
        field.expect("a map of texts")
        return None
    found = [(key, trimmed(entry)) for key, entry in field.entries()]
    return {key.strip(): value for key, value in found if value is not None}


def exact_text_map(field: Field) -> dict[str, str] | None:
    """Read a map of texts unchanged."""
    if not isinstance(field.value, dict):
        field.expect("a map of texts")
        return None
    found = [(key, text(entry)) for key, entry in field.entries()]
    return {key: value for key, value in found if value is not None}


def port(field: Field) -> str | None:
    """Read a port: a text, or a number whose fraction is rounded."""
    value = field.value
    if isinstance(value, str):
        return value
    if is_number(value) and math.isfinite(value):
        return str(round(value))
    field.expect("a text or a number")
    return None


def loose_port(field: Field) -> str | None:
    """Read a port of any scalar type; the fraction of a number is cut off."""
    value = field.value
    return str(int(value)) if is_number(value) and math.isfinite(value) else render_scalar(field)


def render_scalar(field: Field) -> str | None:
    """Read any scalar as text."""
    if isinstance(field.value, list | dict):
        field.expect("a text or a number")
        return None
    return render(field.value)


def render_scalars(field: Field) -> tuple[str, ...] | None:
    """Read a list of scalars as texts; a single one is a list of one, a blank text is none."""
    if not isinstance(field.value, list):
        found = render_scalar(field)
        return None if found is None else (found,) if found.strip() else ()
    rendered = [render_scalar(item) for item in field.items()]
    return tuple(entry for entry in rendered if entry is not None)


def loose_boolean(field: Field) -> bool | None:
    """Read a boolean, also from a text or a number; an empty text is false."""
    value = field.value
    if is_number(value):
        return bool(value)
    if isinstance(value, str) and value in TRUE_WORDS | FALSE_WORDS | {""}:
        return value in TRUE_WORDS
    return boolean(field)


def is_number(value: object) -> bool:
    """Whether a value is a number; bool, a subclass of int, is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
