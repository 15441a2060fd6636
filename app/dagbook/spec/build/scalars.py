"""Readers of texts, numbers, booleans and lists of them, without coercion (DAG format 1.4)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeGuard

from dagbook.spec.build import hints
from dagbook.spec.build.field import Field, describe
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render
from dagbook.spec.schemas import (
    ANY_NUMBER,
    FLAG,
    LIST,
    NOT_BLANK,
    NUMBER,
    NUMBERS,
    POSITIVE,
    SCALAR,
    SCALARS,
    TEXT,
    TEXT_MAP,
    TEXT_OR_LIST,
    TEXT_OR_TEXTS,
    TEXTS,
    WHOLE,
    accepts,
    any_of,
    one_word,
)

TRUE_WORDS = frozenset({"1", "t", "T", "true", "True", "TRUE"})
FALSE_WORDS = frozenset({"0", "f", "F", "false", "False", "FALSE"})
PULL_POLICIES: dict[object, str] = {
    **{word: word for word in ("always", "missing", "never")},
    **dict.fromkeys(sorted(TRUE_WORDS), "always"),
    **dict.fromkeys(sorted(FALSE_WORDS), "never"),
    "": "",
}
# fmt: off
SIGNALS = frozenset({
    "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
    "SIGKILL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSEGV", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP",
    "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU", "SIGXFSZ",
})
# fmt: on
_DEFAULT_BACKOFF = 2.0
_FIRST_TOO_LARGE = 2**63
_LONGEST_SECONDS = 100 * 365 * 24 * 60 * 60
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


@accepts(TEXT)
def text(field: Field) -> str | None:
    """Read a text unchanged."""
    if isinstance(field.value, str):
        return field.value
    field.expect("text", "; put it in quotes" if isinstance(field.value, int | float) else "")
    return None


@accepts(TEXT)
def trimmed(field: Field) -> str | None:
    """Read a text without surrounding blanks."""
    found = text(field)
    return None if found is None else found.strip()


@accepts(FLAG)
def boolean(field: Field) -> bool | None:
    if isinstance(field.value, bool):
        return field.value
    field.expect("true or false", hints.for_flag(field.value))
    return None


@accepts(NUMBER)
def integer(field: Field) -> int | None:
    """Read a whole number; a fraction is cut off, and so are more seconds than a date can be away."""
    value = field.value
    seconds = field.path.endswith("Sec")
    if is_number(value) and math.isfinite(value) and -_FIRST_TOO_LARGE <= value < _FIRST_TOO_LARGE:
        return min(int(value), _LONGEST_SECONDS) if seconds else int(value)
    wanted = "a whole number" + (" within 64 bits" if is_number(value) else " of seconds" if seconds else "")
    field.expect(wanted, hints.for_number(value, seconds=seconds))
    return None


@accepts(NUMBER)
def natural(field: Field) -> int | None:
    """Read a whole number; negative values count as 0."""
    number = integer(field)
    return None if number is None else max(number, 0)


@accepts(NUMBER | {"minimum": 0})
def non_negative(field: Field) -> int | None:
    """Read a whole number from 0 on."""
    number = integer(field)
    if number is not None and number < 0:
        field.refuse(f"must not be negative, as {number} is")
        return None
    return number


@accepts(NUMBER)
def non_zero(field: Field) -> int | None:
    """Read a whole number; 0 is the default."""
    return integer(field) or None


@accepts(NUMBERS)
def integers(field: Field) -> tuple[int, ...] | None:
    if not isinstance(field.value, list):
        field.expect("a list of whole numbers", hints.for_list(field.value))
        return None
    numbers = [integer(item) for item in field.items()]
    return tuple(number for number in numbers if number is not None)


@accepts(TEXTS)
def texts(field: Field) -> tuple[str, ...] | None:
    if not isinstance(field.value, list):
        field.expect("a list of texts", hints.for_list(field.value))
        return None
    found = [text(item) for item in field.items()]
    return tuple(entry for entry in found if entry is not None)


@accepts(TEXT_OR_TEXTS)
def text_or_texts(field: Field) -> tuple[str, ...] | None:
    """Read one text, or a list of texts."""
    if isinstance(field.value, str):
        return (field.value,)
    if isinstance(field.value, list):
        return texts(field)
    field.expect("a text or a list of texts")
    return None


@accepts(any_of(TEXT, {"type": "array", "items": SCALAR}))
def texts_or_scalars(field: Field) -> tuple[str, ...] | None:
    """Read one text, or a list of scalars as texts."""
    if not isinstance(field.value, list):
        return text_or_texts(field)
    found = [render_scalar(item) if item.value is not None else text(item) for item in field.items()]
    return tuple(entry for entry in found if entry is not None)


@accepts(one_word(("separate", "merged"), case=False, blank=True))
def log_output(field: Field) -> str | None:
    """Read whether a step has one log for both streams; an empty text is the default (1.30, 5)."""
    word = trimmed(field)
    if word is None or word.lower() in ("separate", "merged", ""):
        return "separate" if word == "" else word and word.lower()
    field.refuse(f"must be separate or merged, not {quoted(word)}")
    return None


@accepts(TEXT_MAP)
def text_map(field: Field) -> dict[str, str] | None:
    """Read a map of texts; keys and values lose surrounding blanks."""
    if not isinstance(field.value, dict):
        field.expect("a map of texts")
        return None
    found = [(key, trimmed(entry)) for key, entry in field.entries()]
    return {key.strip(): value for key, value in found if value is not None}


@accepts(TEXT_MAP)
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


@accepts(SCALAR)
def loose_port(field: Field) -> str | None:
    """Read a port of any scalar type; the fraction of a number is cut off."""
    value = field.value
    return str(int(value)) if is_number(value) and math.isfinite(value) else render_scalar(field)


@accepts(SCALAR)
def render_scalar(field: Field) -> str | None:
    """Read any scalar as text."""
    if isinstance(field.value, list | dict):
        field.expect("a text or a number")
        return None
    return render(field.value)


@accepts(SCALARS)
def render_scalars(field: Field) -> tuple[str, ...] | None:
    """Read a list of scalars as texts; a single one is a list of one, a blank text is none."""
    if not isinstance(field.value, list):
        found = render_scalar(field)
        return None if found is None else (found,) if found.strip() else ()
    rendered = [render_scalar(item) for item in field.items()]
    return tuple(entry for entry in rendered if entry is not None)


@accepts(any_of(FLAG, ANY_NUMBER, {"enum": sorted(TRUE_WORDS | FALSE_WORDS | {""})}))
def loose_boolean(field: Field) -> bool | None:
    """Read a boolean, also from a text or a number; an empty text is false."""
    value = field.value
    if is_number(value):
        return bool(value)
    if isinstance(value, str) and value in TRUE_WORDS | FALSE_WORDS | {""}:
        return value in TRUE_WORDS
    return boolean(field)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number; bool, a subclass of int, is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@accepts(SCALAR)
def stripped(field: Field) -> str | None:
    found = render_scalar(field)
    return None if found is None else found.strip()


@accepts(SCALAR)
def word(field: Field) -> str | None:
    found = stripped(field)
    return None if found is None else found.lower()


@accepts(SCALAR)
def pattern(field: Field) -> str | None:
    """Read a pattern in which blanks count, unless it is blank as a whole."""
    found = render_scalar(field)
    return "" if found is not None and not found.strip() else found


@accepts(any_of(TEXT, ANY_NUMBER))
def numeric_port(field: Field) -> str | None:
    if isinstance(field.value, str) or is_number(field.value):
        return port(field)
    field.expect("a port as text or number")
    return None


@accepts({"enum": [*PULL_POLICIES, True, False]})
def pull_policy(field: Field) -> str | None:
    value = field.value
    if isinstance(value, bool):
        return "always" if value else "never"
    policy = PULL_POLICIES.get(value) if isinstance(value, str) else None
    if policy is None:
        field.refuse(f"must be always, missing, never, true or false, not {describe(value)}")
    return policy


@accepts(any_of(FLAG, {"type": "number", "maximum": 0}, {"type": "number", "exclusiveMinimum": 1}))
def backoff(field: Field) -> float | None:
    """Read a multiplier; true is 2, values up to 0 are none."""
    value = field.value
    if isinstance(value, bool):
        return _DEFAULT_BACKOFF if value else 0.0
    if not is_number(value):
        field.expect("a number above 1.0, true or false")
        return None
    if not math.isfinite(value) or 0 < value <= 1:
        field.refuse(f"must be above 1.0, not {value}")
        return None
    return max(float(value), 0.0)


@accepts({"enum": [True, False, "while", "until"]})
def repeat_word(field: Field) -> bool | str | None:
    if isinstance(field.value, bool | str) and field.value in (True, False, "while", "until"):
        return field.value
    field.expect("true, false, while or until")
    return None


@accepts(any_of(WHOLE, TEXT))
def whole_or_text(field: Field) -> int | str | None:
    value = field.value
    if isinstance(value, str) or type(value) is int:
        return text(field) if isinstance(value, str) else integer(field)
    field.expect("a whole number or a text")
    return None


@accepts(
    any_of(
        ANY_NUMBER,
        {"type": "string", "pattern": r"^\s*[-+]?[0-9]{1,18}\s*$"},
        LIST | {"items": any_of(ANY_NUMBER, {"type": "string", "pattern": r"^[-+]?[0-9]{1,18}$"})},
    )
)
def exit_codes(field: Field) -> tuple[int, ...] | None:
    """Read a number, a number as text, or a list of these; a fraction is cut off."""
    if isinstance(field.value, str):
        code = _exit_code(field, field.value.strip())
        return None if code is None else (code,)
    items = list(field.items()) if isinstance(field.value, list) else [field]
    codes = [_exit_code(item, item.value) for item in items]
    return None if None in codes else tuple(code for code in codes if code is not None)


def _exit_code(item: Field, value: object) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        item.warn(f"is read as {int(value)}: an exit code is a whole number")
        return int(value)
    if isinstance(value, int) and is_number(value):
        return int(value)
    item.expect("a whole number, or a list of them")
    return None


def one_of(words: tuple[str, ...]) -> Callable[[Field], str | None]:
    """Make the reader of one of a few words."""

    @accepts({"enum": list(words)})
    def read(field: Field) -> str | None:
        found = text(field)
        if found is None or found in words:
            return found
        field.refuse(f"must be {', '.join(words[:-1])} or {words[-1]}, not {describe(found)}")
        return None

    return read


def number_up_to(most: int) -> Callable[[Field], float | None]:
    """Make the reader of a number from 0 on."""

    @accepts({"type": "number", "minimum": 0, "maximum": most})
    def read(field: Field) -> float | None:
        value = field.value
        if is_number(value) and 0 <= value <= most:
            return float(value)
        field.expect(f"a number from 0 to {most}")
        return None

    return read


@accepts(POSITIVE)
def count(field: Field) -> int | None:
    number = integer(field)
    if number is not None and number < 1:
        field.refuse(f"must be 1 or more, not {number}")
        return None
    return number


@accepts(NOT_BLANK)
def filled(field: Field) -> str | None:
    found = text(field)
    if found is not None and not found.strip():
        field.refuse("is empty; write what the model is to read")
        return None
    return found


@accepts(TEXT_OR_LIST)
def recipients(field: Field) -> tuple[str, ...] | None:
    match field.value:
        case str():
            entries = [field.value]
        case list():
            entries = [item.value for item in field.items() if isinstance(item.value, str)]
        case _:
            field.expect("a text or a list of texts")
            return None
    return tuple(entry.strip() for entry in entries if entry.strip())


@accepts({"enum": sorted(SIGNALS)})
def signal(field: Field) -> str | None:
    name = text(field)
    if name is None or name in SIGNALS:
        return name
    meant = hints.closest(f"SIG{name.strip().upper().removeprefix('SIG')}", SIGNALS) if field.report.may_hint() else ""
    hint = f"; did you mean {meant}?" if meant else ""
    field.refuse(f"must be the name of a signal such as SIGINT, not {describe(name)}{hint}")
    return None
