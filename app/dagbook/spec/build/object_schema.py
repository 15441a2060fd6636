"""Objects with known keys: tables of key -> reader function (DAG format 1.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from dagbook.spec.build.field import Field
from dagbook.spec.build.hints import intended_key, join_words, later_spelling_of
from dagbook.spec.problem import quoted
from dagbook.spec.reading.yaml_reader import YamlNode

# A reader returns None for an invalid value, and has reported it.
Reader = Callable[[Field], Any]
_NOTHING: Mapping[str, str] = {}
_MAX_KEYS_LISTED = 8  # messages list at most this many known keys


class ParsedObject(msgspec.Struct):
    """The values of an object that could be read, and the fields of all that are not null."""

    values: dict[str, Any] = {}
    fields: dict[str, Field] = {}
    unread: set[str] = set()

    def refused(self, *names: str) -> bool:
        """Whether one of these is given, but invalid."""
        return not self.unread.isdisjoint(names)


class ObjectSchema:
    """The known keys of an object, case-insensitive, each with the name of its model field and its reader.

    ``expected`` describes the object in messages; ``misplaced`` maps keys of other objects to those objects;
    ``later`` are keys that only the 2.x dialect has. An ``is_open`` schema warns of unknown keys and ignores them.
    """

    def __init__(
        self,
        keys: Mapping[str, tuple[str, Reader]],
        *,
        expected: str = "",
        misplaced: Mapping[str, str] = _NOTHING,
        later: Collection[str] = (),
        is_open: bool = False,
    ) -> None:
        self._keys = {key.lower(): (key, name, reader) for key, (name, reader) in keys.items()}
        self._expected = expected or (
            "a map with " + join_words(list(keys)) if len(keys) <= _MAX_KEYS_LISTED else "a map"
        )
        self._misplaced = {key.lower(): what for key, what in misplaced.items()}
        self._later = later
        self.is_open = is_open

    @property
    def keys(self) -> list[str]:
        """The keys in the spelling of the format."""
        return [key for key, _, _ in self._keys.values()]

    @property
    def names(self) -> dict[str, str]:
        """The model field of each key."""
        return {key: name for key, name, _ in self._keys.values()}

    @property
    def readers(self) -> dict[str, Reader]:
        """The reader of each key."""
        return {key: reader for key, _, reader in self._keys.values()}

    def replace(self, keys: Mapping[str, Reader]) -> ObjectSchema:
        """Return a schema of the same keys with other readers for some."""
        changed = {key: (name, keys.get(key, reader)) for key, name, reader in self._keys.values()}
        return ObjectSchema(
            changed, expected=self._expected, misplaced=self._misplaced, later=self._later, is_open=self.is_open
        )

    def read(self, field: Field) -> ParsedObject | None:
        """Read an object; None if the value is not a map."""
        if not isinstance(field.value, dict):
            field.expect(self._expected)
            return None
        parsed = ParsedObject()
        seen: dict[str, str] = {}
        for key, node in field.value.items():
            lower = key.lower()
            if key in self._later:
                field.add_later_key(key)
            elif lower not in self._keys and self.is_open:
                warn_unknown_key(field, key, self.keys)
            elif lower not in self._keys:
                meant = refuse_unknown_key(field, key, self.keys, self._misplaced.get(lower, ""))
                if meant:  # it counts as given, so that it is not reported missing
                    parsed.unread.add(self._keys[meant.lower()][1])
            elif lower in seen:
                field.refuse_key(key, f"is already given as {quoted(seen[lower])}")
            else:
                seen[lower] = key
                self._take(parsed, field, lower, node)
        return parsed

    def _take(self, parsed: ParsedObject, field: Field, lower: str, node: YamlNode) -> None:
        if node.value is None:
            return
        key, name, reader = self._keys[lower]
        parsed.fields[name] = field.at(key, node)
        value = reader(parsed.fields[name])
        if value is None:
            parsed.unread.add(name)
        else:
            parsed.values[name] = value


def refuse_unknown_key(field: Field, key: str, known: Sequence[str], owner: str = "") -> str:
    """Refuse an unknown key and return the suggested one; ``owner`` is the object that has such a key."""
    if later := later_spelling_of(key, known):
        field.add_later_key(key, later)
        return later
    message = f"the key {quoted(key)} is not known"
    if owner:
        field.refuse_key(key, f"{message} here; it belongs to {owner}, so check the indentation")
        return ""
    meant = intended_key(key, known) if field.report.may_hint() else ""
    if meant:
        field.refuse_key(key, f"{message}; did you mean {meant}?")
    elif len(known) <= _MAX_KEYS_LISTED:
        field.refuse_key(key, f"{message} here; known are {join_words(known)}")
    else:
        field.refuse_key(key, f"{message} here")
    return meant


def warn_unknown_keys(field: Field, known: Sequence[str]) -> None:
    """Warn of ignored keys of a map, in parts of the format where they are no error."""
    for key in field.value:
        if key not in known:
            warn_unknown_key(field, key, known)


def warn_unknown_key(field: Field, key: str, known: Sequence[str]) -> None:
    """Warn of an ignored key, and suggest one; a key of the 2.x dialect counts as such."""
    if later := later_spelling_of(key, known):
        field.add_later_key(key, later)
        return
    meant = intended_key(key, known) if field.report.may_hint() else ""
    field.at(key, field.value[key]).warn(
        "is ignored: the key is not known" + (f"; did you mean {meant}?" if meant else "")
    )


def object_of(shape: ObjectSchema, make: Callable[..., object]) -> Reader:
    """Make a reader of an object that needs no further checks."""

    def read(field: Field) -> object:
        parsed = shape.read(field)
        return None if parsed is None else make(**parsed.values)

    return read


def ignored(field: Field) -> object:
    """Accept any value, for a partial reading."""
    return field


def any_map(field: Field) -> object:
    """Check only that a value is a map."""
    if isinstance(field.value, dict):
        return field
    field.expect("a map")
    return None


def any_text_or_map(field: Field) -> object:
    """Check only that a value is a text or a map."""
    if isinstance(field.value, str | dict):
        return field
    field.expect("a text or a map")
    return None


def any_list(field: Field) -> object:
    """Check only that a value is a list."""
    if isinstance(field.value, list):
        return field
    field.expect("a list")
    return None
