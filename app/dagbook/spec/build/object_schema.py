"""Objects with known keys: a row for each key (DAG format 1.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy

import msgspec

from dagbook.spec.build.field import Field, Fields
from dagbook.spec.build.hints import intended_key, join_words, key_for_2x
from dagbook.spec.problem import quoted
from dagbook.spec.reading.yaml_reader import YamlNode
from dagbook.spec.schemas import MAP, JsonSchema, reference, schema_of

# A reader returns None for an invalid value, and has reported it.
Reader = Callable[[Field], object]
BASELINE = "1.26"  # the release of the contract: keys without another one are at least as old
_NOTHING: Mapping[str, str] = {}
_NO_DEFAULTS: Mapping[str, object] = {}
_CAPITALS = re.compile(r"(?<=[a-z])[A-Z]+")
_MAX_KEYS_LISTED = 8  # messages list at most this many known keys


class Key(msgspec.Struct, frozen=True):
    """A row: a key, its reader, an example, its meaning, and the release of Dagu 1.x that it came with.

    ``name`` is that of its field in the model where that is not the key in snake case, ``values`` the JSON Schema of
    its values where that is not the one of the reader.
    """

    key: str
    read: Reader
    example: object
    meaning: str
    name: str = ""
    since: str = BASELINE
    values: JsonSchema | None = None

    @property
    def field(self) -> str:
        """The name of the field in the model."""
        return self.name or _CAPITALS.sub(lambda part: f"_{part[0].lower()}", self.key)

    @property
    def schema(self) -> JsonSchema:
        """The JSON Schema of the values."""
        owner = getattr(self.read, "__self__", None)
        if self.values is not None:
            return self.values
        return reference(owner.part) if isinstance(owner, ObjectSchema) else schema_of(self.read)


class Member(msgspec.Struct, frozen=True):
    """A row of a map that has a reader of its own: a key, the JSON Schema of its values, an example, and its meaning.

    Values of another type than ``kind`` are ignored.
    """

    key: str
    schema: JsonSchema
    example: object
    meaning: str
    since: str = BASELINE
    kind: type = object


def members(*rows: Member) -> dict[str, Member]:
    """Return rows by their keys."""
    return {row.key: row for row in rows}


def annotate(key: Key | Member) -> JsonSchema:
    """Return the annotations of a key's schema; ``x-since`` is the release that it came with."""
    return {"description": key.meaning, "examples": [key.example], "x-since": key.since}


def map_of(rows: Mapping[str, Key | Member], *, others: bool) -> JsonSchema:
    """Return the JSON Schema of a map whose keys are case-sensitive."""
    properties = {key: annotate(row) | row.schema for key, row in rows.items()}
    return MAP | {"properties": properties} | ({} if others else {"additionalProperties": False})


class ParsedObject(msgspec.Struct):
    """An object: its own field, the values that could be read, and the fields of all that are not null."""

    field: Field
    values: Fields = {}
    fields: dict[str, Field] = {}
    unread: set[str] = set()

    def refused(self, *names: str) -> bool:
        """Whether one of these is given, but invalid."""
        return not self.unread.isdisjoint(names)

    def field_for(self, *names: str) -> Field:
        """Return the field of the first given name, or the object's own."""
        return next((self.fields[name] for name in names if name in self.fields), self.field)


class ObjectSchema:
    """The known keys of an object, case-insensitive. ``part`` is its name in the JSON Schema.

    ``model`` is the struct that is made of it, and ``defaults`` are those that are applied after the struct's.
    ``expected`` describes the object in messages; ``misplaced`` maps keys of other objects to those objects;
    ``only_2x`` are keys that only the 2.x dialect has. An ``is_open`` schema warns of unknown keys and ignores them.
    """

    def __init__(  # noqa: PLR0913 - most are for a few of the objects
        self,
        part: str,
        *rows: Key,
        model: type[msgspec.Struct] | None = None,
        defaults: Mapping[str, object] = _NO_DEFAULTS,
        required: Sequence[str] = (),
        expected: str = "",
        misplaced: Mapping[str, str] = _NOTHING,
        only_2x: Collection[str] = (),
        is_open: bool = False,
    ) -> None:
        self.part, self.model, self.defaults, self.required = part, model, defaults, required
        self.is_open = is_open
        self.rows = {row.key: row for row in rows}
        self.keys = list(self.rows)
        self.fields = {row.key: row.field for row in rows}  # their names in the model
        self._by_lower = {row.key.lower(): (row.key, row.field, row.read) for row in rows}
        self._expected = expected or (
            "a map with " + join_words(self.keys) if len(rows) <= _MAX_KEYS_LISTED else "a map"
        )
        self._misplaced = {key.lower(): what for key, what in misplaced.items()}
        self._only_2x = only_2x

    def replace(self, readers: Mapping[str, Reader]) -> ObjectSchema:
        """Return a schema of the same keys with other readers for some."""
        changed = copy(self)
        changed._by_lower = self._by_lower | {  # noqa: SLF001 - of a copy of this object
            key.lower(): (key, self.fields[key], reader) for key, reader in readers.items()
        }
        return changed

    def build(self, field: Field) -> msgspec.Struct | None:
        """Read an object that needs no further checks as its model."""
        parsed = self.read(field)
        return None if parsed is None or self.model is None else self.model(**parsed.values)

    def read(self, field: Field) -> ParsedObject | None:
        """Read an object; None if the value is not a map."""
        if not isinstance(field.value, dict):
            field.expect(self._expected)
            return None
        parsed = ParsedObject(field)
        seen: dict[str, str] = {}
        for key, node in field.value.items():
            lower = key.lower()
            if key in self._only_2x:
                field.add_key_of_2x(key)
            elif lower not in self._by_lower and self.is_open:
                warn_unknown_key(field, key, self.keys)
            elif lower not in self._by_lower:
                meant = refuse_unknown_key(field, key, self.keys, self._misplaced.get(lower, ""))
                if meant:  # it counts as given, so that it is not reported missing
                    parsed.unread.add(self._by_lower[meant.lower()][1])
            elif lower in seen:
                field.refuse_key(key, f"is already given as {quoted(seen[lower])}")
            else:
                seen[lower] = key
                self._take(parsed, field, lower, node)
        return parsed

    def _take(self, parsed: ParsedObject, field: Field, lower: str, node: YamlNode) -> None:
        if node.value is None:
            return
        key, name, reader = self._by_lower[lower]
        parsed.fields[name] = field.at(key, node)
        value = reader(parsed.fields[name])
        if value is None:
            parsed.unread.add(name)
        else:
            parsed.values[name] = value


def refuse_unknown_key(field: Field, key: str, known: Sequence[str], owner: str = "") -> str:
    """Refuse an unknown key and return the suggested one; ``owner`` is the object that has such a key."""
    if ours := key_for_2x(key, known):
        field.add_key_of_2x(key, ours)
        return ours
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
    for key in field.members:
        if key not in known:
            warn_unknown_key(field, key, known)


def warn_unknown_key(field: Field, key: str, known: Sequence[str]) -> None:
    """Warn of an ignored key, and suggest one; a key of the 2.x dialect counts as such."""
    if ours := key_for_2x(key, known):
        field.add_key_of_2x(key, ours)
        return
    meant = intended_key(key, known) if field.report.may_hint() else ""
    field.at(key, field.members[key]).warn(
        "is ignored: the key is not known" + (f"; did you mean {meant}?" if meant else "")
    )


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
