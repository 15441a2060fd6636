"""Readable messages for what msgspec says of invalid values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

import msgspec

from dagbook.api.params import parameters

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_BOUND = re.compile(r"Expected `[^`]+` (<=|>=) (.+)")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_BOUNDS = {"<=": "at most", ">=": "at least"}
_CHOICE, _TIME = "Invalid enum value ", "Invalid RFC3339 encoded datetime"
_QUERY_CHOICES: dict[str, Sequence[object]] = {
    parameter.name: get_args(kind) for kind, parameter in map(get_args, (parameters.Stream, parameters.SubRuns))
}


def humanize(field: str, message: str) -> tuple[str, str]:
    """Return the field and a readable message for a msgspec message; a missing field is reported by its own name."""
    if match := _TYPE.fullmatch(message):
        return field, f"must be {_kinds(match[1])}, not {_kinds(match[2])}"
    if match := _BOUND.fullmatch(message):
        return field, f"must be {_BOUNDS[match[1]]} {match[2]}"
    if match := _MISSING.fullmatch(message):
        return match[1] if field == "body" else f"{field}.{match[1]}", "is missing"
    if message == _TIME:
        return field, "must be a time with a time zone, such as 2030-01-31T12:00:00Z"
    if message.startswith(_CHOICE):
        return field, add_choices(message, _QUERY_CHOICES.get(field, ()))
    return field, message


def _kinds(names: str) -> str:
    """Describe types such as ``int | null``; null is left out, because it is never the fix."""
    kinds = [kind for kind in names.split(" | ") if kind != "null"] or ["null"]
    return " or ".join(_KINDS.get(kind, kind) for kind in kinds)


def add_choices(message: str, choices: Sequence[object]) -> str:
    """Add the valid values to msgspec's message about an invalid enum value."""
    if not choices or not message.startswith(_CHOICE):
        return message
    return f"must be one of {', '.join(map(str, choices))}, not {message.removeprefix(_CHOICE)}"


def choices_of(annotation: object, field: str) -> Sequence[object]:
    """Return the valid values of a request body's field that is an enum or a literal; empty for other fields."""
    for kind in _members(msgspec.inspect.type_info(annotation)):
        if isinstance(kind, msgspec.inspect.StructType):
            for struct_field in kind.fields:
                if struct_field.encode_name == field:
                    return _values(struct_field.type)
    return ()


def _values(kind: msgspec.inspect.Type) -> Sequence[object]:
    for member in _members(kind):
        if isinstance(member, msgspec.inspect.EnumType):
            return [item.value for item in member.cls]
        if isinstance(member, msgspec.inspect.LiteralType):
            return member.values
    return ()


def _members(kind: msgspec.inspect.Type) -> Sequence[msgspec.inspect.Type]:
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
