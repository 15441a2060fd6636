"""Objects with known keys: tables of key -> small function (DAG format 1.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from app.spec.build.field import Field
from app.spec.problem import show
from app.spec.text import Node

# A reader gives None for what it refused; what it refused it has said.
Reader = Callable[[Field], Any]


class Said(msgspec.Struct):
    """What an object says: the values that could be read, and the places of all that are not null."""

    fields: dict[str, Any] = {}
    places: dict[str, Field] = {}
    unread: set[str] = set()

    def refused(self, *names: str) -> bool:
        """Whether one of these was given, but not as it must be."""
        return not self.unread.isdisjoint(names)


class Shape:
    """The keys of an object, in any case of letters, each with the name of what it becomes and its reader."""

    def __init__(self, keys: Mapping[str, tuple[str, Reader]]) -> None:
        self._keys = {key.lower(): (key, name, reader) for key, (name, reader) in keys.items()}

    @property
    def keys(self) -> list[str]:
        """The keys in the spelling of the format."""
        return [key for key, _, _ in self._keys.values()]

    @property
    def readers(self) -> dict[str, Reader]:
        """The reader of each key, in the spelling of the format."""
        return {key: reader for key, _, reader in self._keys.values()}

    def replace(self, keys: Mapping[str, Reader]) -> Shape:
        """Make a shape of the same keys with other readers for some."""
        return Shape({key: (name, keys.get(key, reader)) for key, name, reader in self._keys.values()})

    def read(self, field: Field) -> Said | None:
        """Read an object; None when it is none."""
        if not isinstance(field.value, dict):
            field.expect("a map")
            return None
        said = Said()
        seen: dict[str, str] = {}
        for key, node in field.value.items():
            lower = key.lower()
            if lower not in self._keys:
                field.refuse_key(key, self._unknown(key, field))
            elif lower in seen:
                field.refuse_key(key, f"is already given as {show(seen[lower])}")
            else:
                seen[lower] = key
                self._take(said, field, lower, node)
        return said

    def _take(self, said: Said, field: Field, lower: str, node: Node) -> None:
        if node.value is None:
            return
        key, name, reader = self._keys[lower]
        place = said.places[name] = field.at(key, node)
        value = reader(place)
        if value is None:
            said.unread.add(name)
        else:
            said.fields[name] = value

    def _unknown(self, key: str, field: Field) -> str:
        return unknown_key(key, self.keys, field)


def unknown_key(key: str, known: list[str], field: Field) -> str:
    """Say that a key is not known, and which is nearest to it."""
    message = f"the key {show(key)} is not known"
    if field.report.full:
        return message
    spellings = {name.lower(): name for name in known}
    near = get_close_matches(key.lower(), spellings, n=1, cutoff=0.7)
    return f"{message}; did you mean {spellings[near[0]]}?" if near else f"{message} here"


def object_of(shape: Shape, make: Callable[..., object]) -> Reader:
    """Make a reader of an object whose values need no second look."""

    def read(field: Field) -> object:
        said = shape.read(field)
        return None if said is None else make(**said.fields)

    return read


def ignored(field: Field) -> object:
    """Take a value as it is, for a reading that does not care for it."""
    return field


def any_map(field: Field) -> object:
    """Care only that a value is a map."""
    if isinstance(field.value, dict):
        return field
    field.expect("a map")
    return None


def any_list(field: Field) -> object:
    """Care only that a value is a list."""
    if isinstance(field.value, list):
        return field
    field.expect("a list")
    return None
