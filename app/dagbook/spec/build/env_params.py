"""Variables and parameters: maps, lists and texts of pairs (DAG format 2.8 and 2.9)."""

from __future__ import annotations

from collections.abc import Iterator

from dagbook.spec.build.field import Field, Fields, describe, unwrap
from dagbook.spec.model import Pair, is_variable_name
from dagbook.spec.params.param_text import tokenise
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render
from dagbook.spec.schemas import MAP, TEXT, accepts, any_of, ignored_values, nullable

MAX_PAIRS = 1_000  # each is evaluated with all before it
_ENV = any_of(
    MAP,
    {"type": "array", "items": any_of(MAP, {"type": "string", "pattern": "="})},
    ignored_values("string", "number", "boolean"),
)
_PARAMS = any_of(TEXT, {"type": "array", "items": any_of(TEXT, MAP)}, MAP)
_WITH_SCHEMA = {
    "if": {"required": ["schema"], "properties": {"schema": TEXT}},
    "then": {"properties": {"values": nullable(_PARAMS)}},
}


@accepts(_ENV)
def env(field: Field) -> tuple[Pair, ...]:
    """Read the variables of processes in document order; those whose names no shell takes get a warning."""
    pairs = container_env(field)
    for name in dict.fromkeys(pair.name for pair in pairs if not is_variable_name(pair.name)):
        field.warn(
            f"{quoted(name)} is no name of a variable: programs of steps do not get it, only texts that Dagbook "
            "evaluates; a name has letters, digits and _, and does not begin with a digit"
        )
    return pairs


@accepts(_ENV)
def container_env(field: Field) -> tuple[Pair, ...]:
    """Read variables in document order; a bare scalar is ignored (2.8)."""
    match field.value:
        case dict():
            return _limited(field, tuple(_map_pairs(field)))
        case list():
            return _limited(field, tuple(pair for item in field.items() for pair in _env_item(item)))
        case _:
            field.warn(f"is ignored: it must be a map or a list of KEY=value items, not {describe(field.value)}")
            return ()


@accepts(_PARAMS)
def params(field: Field) -> tuple[Pair, ...] | None:
    """Read parameters; entries without a name get their position in the whole list (2.9)."""
    match field.value:
        case str():
            return _limited(field, tokenise(field.value))
        case list():
            return _limited(field, _params_list(field))
        case dict():
            return _limited(field, tuple(_sorted_pairs(field)))
        case _:
            field.expect("a text, a list or a map")
            return None


@accepts(any_of(*_PARAMS["anyOf"][:-1], MAP | _WITH_SCHEMA))
def params_with_schema(field: Field) -> Fields | None:
    """Read the parameters of a DAG, which may name a schema beside their values."""
    schema = field.members.get("schema")
    if schema is None or not isinstance(schema.value, str):
        pairs = params(field)
        return None if pairs is None else {"params": pairs}
    found: Fields = {"params_schema": schema.value}
    values = field.members.get("values")
    if values is not None and values.value is not None:
        found["params"] = params(field.at("values", values)) or ()
    return found


def _limited(field: Field, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    if len(pairs) <= MAX_PAIRS:
        return pairs
    field.refuse(f"may have {MAX_PAIRS:,} values, these are {len(pairs):,}")
    return ()


def _env_item(item: Field) -> Iterator[Pair]:
    value = item.value
    if isinstance(value, dict):
        yield from _map_pairs(item)
    elif isinstance(value, str) and "=" in value:
        name, _, text = value.partition("=")
        yield Pair(name, text)
    else:
        item.expect("a map or a text of the form KEY=value")


def _params_list(field: Field) -> tuple[Pair, ...]:
    pairs: list[Pair] = []
    for item in field.items():
        if isinstance(item.value, str):
            pairs += tokenise(item.value, start=len(pairs) + 1)
        elif isinstance(item.value, dict):
            pairs += _sorted_pairs(item)
        else:
            item.expect("a text or a map")
    return tuple(pairs)


def _sorted_pairs(field: Field) -> list[Pair]:
    return sorted(_map_pairs(field), key=lambda pair: pair.name)


def _map_pairs(field: Field) -> Iterator[Pair]:
    for key, node in field.members.items():
        yield Pair(key, render(unwrap(node)))
