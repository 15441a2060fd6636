"""The config of a step's executor, with lenient types (DAG format 4, head).

Keys are matched case-insensitively, an exact match first; unknown keys are ignored, and null is the same as an absent
key. A value of another type raises a SetupError that names the key and the fix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from dagbook.executors.contract import SetupError
from dagbook.spec.config_keys import CONFIG_KEYS
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render

_TRUE = frozenset({"1", "t", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "f", "false", "no", "off"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")


class Config:
    """A config and the name of its executor, which is the prefix of every error: ``Config(job.config, "http")``.

    A name of CONFIG_KEYS has its keys only, with its defaults.
    """

    def __init__(self, values: Mapping[str, object], name: str) -> None:
        self._values = values
        self._by_lower = {str(key).lower(): value for key, value in values.items()}
        self._name = name
        self._keys = CONFIG_KEYS.get(name)

    def value(self, key: str) -> object:
        """Return the value of a key, without one its default, or None. Raises KeyError for one that no table has."""
        exact = self._values.get(key)
        found = self._by_lower.get(key.lower()) if exact is None else exact
        default = self._default(key)
        return default if found is None else found

    def _default(self, key: str) -> object:
        return self._keys[key].default if self._keys else None

    def has(self, key: str) -> bool:
        """Whether a key has a value."""
        return self.value(key) is not None

    def text(self, key: str) -> str:
        """Read a text; numbers and booleans are converted."""
        value = self.value(key)
        if value is None:
            return ""
        if _is_scalar(value):
            return render(value)
        raise self.error(key, f"expected a text, found {_kind(value)}")

    def required(self, key: str, fix: str) -> str:
        """Read a text that must not be blank; ``fix`` is the advice in the error."""
        if found := self.text(key).strip():
            return found
        raise self.error(key, f"is missing; {fix}")

    def flag(self, key: str, default: bool = False) -> bool:
        """Read a boolean; numbers and words such as ``yes`` are converted."""
        value = self.value(key)
        match value:
            case None:
                return default
            case bool():
                return value
            case int() | float():
                return value != 0
            case str() if value.strip().lower() in _TRUE | _FALSE:
                return value.strip().lower() in _TRUE
        raise self.error(key, f"expected true or false, found {_show(value)}")

    def integer(self, key: str, *, least: int | None = None, most: int | None = None) -> int:
        """Read an integer; a fraction is truncated, an empty text is an absent key."""
        value = self.value(key)
        if value is None or (isinstance(value, str) and not value.strip()):
            value = self._default(key) or 0
        number = _as_integer(value)
        if number is None:
            raise self.error(key, f"expected a whole number, found {_show(value)}")
        if least is not None and number < least:
            raise self.error(key, f"expected {least} or more, found {number}")
        if most is not None and number > most:
            raise self.error(key, f"expected {most} or less, found {number}")
        return number

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts; a single text is a list of one, an empty text an empty list."""
        value = self.value(key)
        if value in (None, ""):
            return ()
        items = value if isinstance(value, list | tuple) else (value,)
        if not all(_is_scalar(item) for item in items):
            raise self.error(key, f"expected a list of texts, found {_kind(value)} with something else in it")
        return tuple(render(item) for item in items)

    def mapping(self, key: str) -> dict[str, str]:
        """Read a map of texts; keys keep their case, null becomes an empty text."""
        value = self.value(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.error(key, f"expected a map of texts, found {_kind(value)}; write {key}: {{name: text}}")
        for name, entry in value.items():
            if entry is not None and not _is_scalar(entry):
                raise self.error(f"{key}.{name}", f"expected a text, found {_kind(entry)}")
        return {str(name): render(entry) for name, entry in value.items()}

    def error(self, key: str, message: str) -> SetupError:
        """Make an error about a key."""
        return SetupError(f"{self._name}: {key}: {message}")


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)


def _as_integer(value: object) -> int | None:
    match value:
        case int():
            return int(value)
        case float() if math.isfinite(value):
            return int(value)
        case str() if _INTEGER.match(value.strip()):
            return int(value)
    return None


def _show(value: object) -> str:
    match value:
        case str():
            return quoted(value)
        case bool() | int() | float():
            return render(value)
    return _kind(value)


def _kind(value: object) -> str:
    """Name the type of a value: the value itself may be secret."""
    match value:
        case str():
            return "a text"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case Mapping():
            return "a map"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"
