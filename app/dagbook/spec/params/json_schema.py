"""Validation of parameters against a JSON Schema, and its defaults (DAG format 2.9)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from dagbook.spec.model import Pair
from dagbook.spec.problem import Problem, SpecError
from dagbook.spec.reading.rendering import parse_json, render_json

_PATH = "params"


def validate(pairs: Iterable[Pair], schema: dict[str, Any]) -> tuple[Pair, ...]:
    """Validate parameters against a schema of draft 2020-12 and append its defaults.

    Raises SpecError with every invalid parameter. References to other documents are not followed.
    """
    validator = _validator(schema)
    texts = {pair.name: pair.value for pair in pairs}
    problems: list[Problem] = []
    try:
        values = {name: _typed(validator, name, text) for name, text in texts.items()}
        filled = _with_defaults(values, schema)
        for error in validator.iter_errors(filled):
            path = ".".join((_PATH, *map(str, error.absolute_path)))
            problems.append(Problem(path, f"does not match the schema: {error.message}"))
    except Unresolvable as error:
        raise SpecError([Problem(_PATH, f"the schema refers to {error.ref!r}, which it does not hold")]) from error
    except RecursionError as error:
        raise SpecError([Problem(_PATH, "the schema refers to itself without end")]) from error
    if problems:
        raise SpecError(problems)
    return tuple(Pair(name, render_json(value)) for name, value in filled.items())


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise SpecError([Problem(_PATH, f"the schema itself is not valid: {error.message}")]) from error
    # An empty registry: the library would otherwise fetch what a reference names.
    validator = Draft202012Validator(schema, registry=Registry())
    for name, member in _properties(schema):
        if "default" in member and not validator.evolve(schema=member).is_valid(member["default"]):
            raise SpecError([Problem(f"{_PATH}.{name}", "the default that the schema gives does not match the schema")])
    return validator


def _properties(schema: object) -> list[tuple[str, dict[str, Any]]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    members = properties.items() if isinstance(properties, dict) else ()
    return [(name, member) for name, member in members if isinstance(member, dict)]


def _typed(validator: Draft202012Validator, name: str, text: str) -> Any:
    """Parse a text as JSON if it is; a text that only validates as text (a postal code, say) stays one."""
    try:
        value = parse_json(text)
    except ValueError:
        return text
    member = dict(_properties(validator.schema)).get(name)
    if member is None:
        return value
    fits = validator.evolve(schema=member).is_valid
    return text if fits(text) and not fits(value) else value


def _with_defaults(values: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    filled = dict(values)
    for name, member in _properties(schema):
        if name not in filled and "default" in member:
            filled[name] = member["default"]
        if isinstance(filled.get(name), dict):
            filled[name] = _with_defaults(filled[name], member)
    return filled
