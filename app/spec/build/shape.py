"""Objects with known keys: tables of key -> small function (DAG format 1.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from app.spec.build.field import Field
from app.spec.build.hints import listed, meant_key
from app.spec.problem import show
from app.spec.text import Node

# A reader gives None for what it refused; what it refused it has said.
Reader = Callable[[Field], Any]
_NOTHING: Mapping[str, str] = {}
_FEW = 8  # keys that are named to somebody who gave no map, or a key that nobody knows


class Said(msgspec.Struct):
    """What an object says: the values that could be read, and the places of all that are not null."""

    fields: dict[str, Any] = {}
    places: dict[str, Field] = {}
    unread: set[str] = set()

    def refused(self, *names: str) -> bool:
        """Whether one of these was given, but not as it must be."""
        return not self.unread.isdisjoint(names)


class Shape:
    """The keys of an object, in any case of letters, each with the name of what it becomes and its reader.

    ``wanted`` says what the object is to somebody who gave none; ``elsewhere`` leads from keys of other objects to
    what these are. One that ``is_open`` warns of unknown keys and ignores them.
    """

    def __init__(
        self,
        keys: Mapping[str, tuple[str, Reader]],
        *,
        wanted: str = "",
        elsewhere: Mapping[str, str] = _NOTHING,
        is_open: bool = False,
    ) -> None:
        self._keys = {key.lower(): (key, name, reader) for key, (name, reader) in keys.items()}
        self._wanted = wanted or ("a map with " + listed(list(keys)) if len(keys) <= _FEW else "a map")
        self._elsewhere = {key.lower(): what for key, what in elsewhere.items()}
        self.is_open = is_open

    @property
    def keys(self) -> list[str]:
        """The keys in the spelling of the format."""
        return [key for key, _, _ in self._keys.values()]

    @property
    def names(self) -> dict[str, str]:
        """The name of what each key becomes, by the key in the spelling of the format."""
        return {key: name for key, name, _ in self._keys.values()}

    @property
    def readers(self) -> dict[str, Reader]:
        """The reader of each key, in the spelling of the format."""
        return {key: reader for key, _, reader in self._keys.values()}

    def replace(self, keys: Mapping[str, Reader]) -> Shape:
        """Make a shape of the same keys with other readers for some."""
        changed = {key: (name, keys.get(key, reader)) for key, name, reader in self._keys.values()}
        return Shape(changed, wanted=self._wanted, elsewhere=self._elsewhere, is_open=self.is_open)

    def read(self, field: Field) -> Said | None:
        """Read an object; None when it is none."""
        if not isinstance(field.value, dict):
            field.expect(self._wanted)
            return None
        said = Said()
        seen: dict[str, str] = {}
        for key, node in field.value.items():
            lower = key.lower()
            if lower not in self._keys and self.is_open:
                warn_of_key(field.at(key, node), key, self.keys)
            elif lower not in self._keys:
                self._refuse(said, field, key)
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

    def _refuse(self, said: Said, field: Field, key: str) -> None:
        """Refuse an unknown key; what it seems to stand for counts as given, so that nobody is told to add it."""
        meant = refuse_unknown(field, key, self.keys, self._elsewhere.get(key.lower(), ""))
        if meant:
            said.unread.add(self._keys[meant.lower()][1])


def refuse_unknown(field: Field, key: str, known: Sequence[str], owner: str = "") -> str:
    """Say that a key is not known, and which one may be meant, which is given back; ``owner`` is what else has it."""
    message = f"the key {show(key)} is not known"
    if owner:
        field.refuse_key(key, f"{message} here; it belongs to {owner}, so check the indentation")
        return ""
    meant = meant_key(key, known) if field.report.may_hint() else ""
    if meant:
        field.refuse_key(key, f"{message}; did you mean {meant}?")
    elif len(known) <= _FEW:
        field.refuse_key(key, f"{message} here; known are {listed(known)}")
    else:
        field.refuse_key(key, f"{message} here")
    return meant


def warn_of_unknown(field: Field, known: Sequence[str]) -> None:
    """Warn of the keys of a map that say nothing, in parts of the format where that is no error."""
    for key, entry in field.entries():
        if key not in known:
            warn_of_key(entry, key, known)


def warn_of_key(entry: Field, key: str, known: Sequence[str]) -> None:
    """Warn of a key that says nothing, and say which one may be meant."""
    meant = meant_key(key, known) if entry.report.may_hint() else ""
    entry.warn("is ignored: the key is not known" + (f"; did you mean {meant}?" if meant else ""))


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


def any_text_or_map(field: Field) -> object:
    """Care only that a value is a text or a map."""
    if isinstance(field.value, str | dict):
        return field
    field.expect("a text or a map")
    return None


def any_list(field: Field) -> object:
    """Care only that a value is a list."""
    if isinstance(field.value, list):
        return field
    field.expect("a list")
    return None
