"""JSON Schema of the values that readers of the format accept (DAG format 1.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

JsonSchema = dict[str, Any]
Function = TypeVar("Function", bound=Callable[..., object])

_LARGEST = 2**63
TEXT: JsonSchema = {"type": "string"}
FILLED: JsonSchema = {"type": "string", "minLength": 1}
NOT_BLANK: JsonSchema = {"type": "string", "pattern": r"\S"}
BLANK: JsonSchema = {"type": ["string", "null"], "pattern": r"^\s*$"}
FLAG: JsonSchema = {"type": "boolean"}
NUMBER: JsonSchema = {"type": "number", "minimum": -_LARGEST, "exclusiveMaximum": _LARGEST}
POSITIVE: JsonSchema = NUMBER | {"minimum": 1}
ANY_NUMBER: JsonSchema = {"type": "number"}
WHOLE: JsonSchema = {"type": "integer"}
LIST: JsonSchema = {"type": "array"}
TEXTS: JsonSchema = {"type": "array", "items": TEXT}
NUMBERS: JsonSchema = {"type": "array", "items": NUMBER}
MAP: JsonSchema = {"type": "object"}
TEXT_MAP: JsonSchema = {"type": "object", "additionalProperties": TEXT}
NOTHING: JsonSchema = {"type": "null"}
SCALAR: JsonSchema = {"anyOf": [TEXT, ANY_NUMBER, FLAG]}
SCALAR_OR_NOTHING: JsonSchema = {"anyOf": [TEXT, ANY_NUMBER, FLAG, NOTHING]}
SCALARS: JsonSchema = {"anyOf": [TEXT, ANY_NUMBER, FLAG, {"type": "array", "items": SCALAR_OR_NOTHING}]}
TEXT_OR_TEXTS: JsonSchema = {"anyOf": [TEXT, TEXTS]}
TEXT_OR_LIST: JsonSchema = {"anyOf": [TEXT, LIST]}

_BY_READER: dict[Callable[..., object], JsonSchema] = {}


def accepts(schema: JsonSchema) -> Callable[[Function], Function]:
    """Note the schema of the values that a reader accepts."""

    def note(reader: Function) -> Function:
        _BY_READER[reader] = schema
        return reader

    return note


def schema_of(reader: Callable[..., object]) -> JsonSchema:
    """Return the schema of the values that a reader accepts."""
    return _BY_READER[reader]


def reference(name: str) -> JsonSchema:
    return {"$ref": f"#/$defs/{name}"}


def any_of(*schemas: JsonSchema) -> JsonSchema:
    return {"anyOf": list(schemas)}


def nullable(schema: JsonSchema) -> JsonSchema:
    """Allow null, which is the same as leaving a field out."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [*schema["anyOf"], NOTHING]} if set(schema) == {"anyOf"} else any_of(schema, NOTHING)


def any_case(word: str) -> str:
    """Return a case-insensitive expression for a word; the dialect of JSON Schema has no flag for it."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in word)


def one_word(words: Iterable[str], *, case: bool = True, blank: bool = False) -> JsonSchema:
    """Allow these words with surrounding blanks; the enumeration is for completion in editors."""
    known = list(words)
    choice = "|".join(known if case else map(any_case, known))
    return any_of({"enum": known}, {"type": "string", "pattern": rf"^\s*({choice}){'?' if blank else ''}\s*$"})


def ignored_values(*types: str) -> JsonSchema:
    """Allow values that are ignored."""
    return {"type": list(types), "deprecated": True, "description": "Ignored, with a warning."}
