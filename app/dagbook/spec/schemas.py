"""JSON Schema of the values that readers of the format accept (DAG format 1.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Json = dict[str, Any]
Function = TypeVar("Function", bound=Callable[..., object])

_LARGEST = 2**63
TEXT: Json = {"type": "string"}
FILLED: Json = {"type": "string", "minLength": 1}
NOT_BLANK: Json = {"type": "string", "pattern": r"\S"}
BLANK: Json = {"type": ["string", "null"], "pattern": r"^\s*$"}
FLAG: Json = {"type": "boolean"}
NUMBER: Json = {"type": "number", "minimum": -_LARGEST, "exclusiveMaximum": _LARGEST}
POSITIVE: Json = NUMBER | {"minimum": 1}
ANY_NUMBER: Json = {"type": "number"}
WHOLE: Json = {"type": "integer"}
LIST: Json = {"type": "array"}
TEXTS: Json = {"type": "array", "items": TEXT}
NUMBERS: Json = {"type": "array", "items": NUMBER}
MAP: Json = {"type": "object"}
TEXT_MAP: Json = {"type": "object", "additionalProperties": TEXT}
NOTHING: Json = {"type": "null"}
SCALAR: Json = {"anyOf": [TEXT, ANY_NUMBER, FLAG]}
SCALAR_OR_NOTHING: Json = {"anyOf": [TEXT, ANY_NUMBER, FLAG, NOTHING]}
SCALARS: Json = {"anyOf": [TEXT, ANY_NUMBER, FLAG, {"type": "array", "items": SCALAR_OR_NOTHING}]}
TEXT_OR_TEXTS: Json = {"anyOf": [TEXT, TEXTS]}
TEXT_OR_LIST: Json = {"anyOf": [TEXT, LIST]}

_BY_READER: dict[Callable[..., object], Json] = {}


def accepts(schema: Json) -> Callable[[Function], Function]:
    """Note the schema of the values that a reader accepts."""

    def note(reader: Function) -> Function:
        _BY_READER[reader] = schema
        return reader

    return note


def schema_of(reader: Callable[..., object]) -> Json:
    """Return the schema of the values that a reader accepts."""
    return _BY_READER[reader]


def reference(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def any_of(*schemas: Json) -> Json:
    return {"anyOf": list(schemas)}


def nullable(schema: Json) -> Json:
    """Allow null, which is the same as leaving a field out."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [*schema["anyOf"], NOTHING]} if set(schema) == {"anyOf"} else any_of(schema, NOTHING)


def any_case(word: str) -> str:
    """Return a case-insensitive expression for a word; the dialect of JSON Schema has no flag for it."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in word)


def one_word(words: Iterable[str], *, case: bool = True, blank: bool = False) -> Json:
    """Allow these words with surrounding blanks; the enumeration is for completion in editors."""
    known = list(words)
    choice = "|".join(known if case else map(any_case, known))
    return any_of({"enum": known}, {"type": "string", "pattern": rf"^\s*({choice}){'?' if blank else ''}\s*$"})


def ignored_values(*types: str) -> Json:
    """Allow values that are ignored."""
    return {"type": list(types), "deprecated": True, "description": "Ignored, with a warning."}
