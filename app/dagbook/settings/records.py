"""Settings that are lists of maps: raw maps from a file or a variable, and the values of their keys."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from dagbook.json_values import Json
from dagbook.settings.readers import HIDDEN, Hidden, Raw

Reader = Callable[[Raw, Path], object]


class Named(Protocol):
    """A value that is made of a map."""

    @property
    def name(self) -> str:
        """The name, of which there is one in a list."""


Record = TypeVar("Record", bound=Named)


def read_named(
    raw: Raw, what: str, example: str, make: Callable[[Mapping[str, Raw]], Record], *, is_shown: Callable[[str], object]
) -> tuple[Record, ...]:
    """Return the values of a list of maps with names of their own; errors name the map if its name may be shown."""
    found: list[Record] = []
    for number, entry in enumerate(_read_maps(raw, example), 1):
        name = entry.get("name", "")
        subject = f"{what} {number}" + (f" ({name})" if name and isinstance(name, str) and is_shown(name) else "")
        try:
            value = make(entry)
        except ValueError as error:
            raise ValueError(f"{subject}: {error}") from None
        if value.name in {other.name for other in found}:
            raise ValueError(f"{subject}: name: is there twice; give each {what} a name of its own")
        found.append(value)
    return tuple(found)


def _read_maps(raw: Raw, example: str) -> list[dict[str, Raw]]:
    """Return the raw maps; a file gives each one as a JSON text, a variable all of them as one. Raises ValueError."""
    try:
        if not isinstance(raw, str):
            return [msgspec.json.decode(item, type=dict[str, Raw]) for item in raw]
        items = msgspec.json.decode(raw or "[]", type=list[dict[str, Json]])
    except msgspec.DecodeError:
        # The raw text may be a secret, so it is not repeated.
        hidden = f"{HIDDEN} stands for what is not shown; write the secret itself, in " if raw == HIDDEN else "write "
        raise ValueError(f"{hidden}a list of maps such as {example}") from None
    return [{key: _as_given(value) for key, value in item.items()} for item in items]


def _as_given(value: Json) -> Raw:
    """Return a value of JSON as a file gives it: texts, lists of them, and of a map a list of key=value."""
    if isinstance(value, list):
        return [str(_as_given(item)) for item in value]
    if isinstance(value, dict):
        return [f"{key}={_as_given(item)}" for key, item in value.items()]
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_keys(
    entry: Mapping[str, Raw], readers: Mapping[str, Reader], folder: Path, what: str, needed: tuple[str, ...]
) -> dict[str, Any]:
    """Return the values of a raw map; raises ValueError for an unknown or missing key or an invalid value."""
    values: dict[str, Any] = {}
    for key, text in entry.items():
        if key not in readers:
            close = next(iter(difflib.get_close_matches(key, readers, n=1)), "")
            hint = f"did you mean {close}?" if close else one_of(readers)
            raise ValueError(f"{key}: is no key of a {what}; {hint}")
        try:
            values[key] = readers[key](text, folder)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    for key in needed:
        if not values.get(key):
            raise ValueError(f"{key}: is missing")
    return values


def one_of(words: Mapping[str, object]) -> str:
    """Name the words that fit."""
    return "write one of " + ", ".join(words)


def read_secret(text: str) -> Hidden:
    """Read a secret; raises ValueError for what stands for one that is not shown."""
    if text == HIDDEN:
        raise ValueError(f"{HIDDEN} stands for what is not shown; write the secret itself")
    return Hidden(text)
