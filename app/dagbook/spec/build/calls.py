"""Executors, called DAGs and parallel items of a step (DAG format 3.6 and 3.13)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dagbook.json_values import Json
from dagbook.spec.build.field import Field, Fields, KeyOf2x, unwrap
from dagbook.spec.build.hints import closest, intended_key
from dagbook.spec.build.object_schema import Member, map_of, members, refuse_unknown_key, warn_unknown_keys
from dagbook.spec.build.scalars import integer as any_integer
from dagbook.spec.build.scalars import is_number, trimmed
from dagbook.spec.model import DEFAULT_MAX_CONCURRENT, Executor, Pair, Parallel
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render
from dagbook.spec.schemas import ANY_NUMBER, MAP, NOT_BLANK, SCALAR, TEXT, accepts, any_of

# A name, a text that evaluates to one, the file of a DAG, or its path without extension. `./build.sh` is none of them.
CALLABLE = r"[A-Za-z0-9_.-]+|\S*[$`][\s\S]*|\S+\.ya?ml|(?:[A-Za-z0-9_.-]*/)+[A-Za-z0-9_-]+"
EXECUTOR_TYPES = frozenset(
    {
        "",
        "command",
        "shell",
        "dag",
        "subworkflow",
        "parallel",
        "docker",
        "container",
        "ssh",
        "http",
        "jq",
        "mail",
        "archive",
        "postgres",
        "sqlite",
        "gha",
        "github_action",
        "github-action",
        "chat",
        "hitl",
    }
)

_ITEM = any_of(TEXT, ANY_NUMBER, MAP | {"additionalProperties": SCALAR})
_ITEMS = any_of(NOT_BLANK, {"type": "array", "items": _ITEM, "minItems": 1})
# A row of these tables has one line, or its meaning on a second one.
# fmt: off
EXECUTOR = members(
    Member("type", TEXT, "jq", "What carries the step out, such as http, ssh, docker, jq, mail or archive."),
    Member("config", MAP, {"raw": True}, "What the type needs to know."),
)
PARALLEL = members(
    Member("items", _ITEMS, ["a.csv", "b.csv"], "What to call it for, each item once."),
    Member("maxConcurrent", {"type": "number", "minimum": 1, "default": DEFAULT_MAX_CONCURRENT}, 2,
        "How many run at once; 10 when it is not given."),
)
# fmt: on


@accepts(any_of(TEXT, map_of(EXECUTOR, others=False)))
def executor(field: Field) -> Executor | None:
    """Read an executor: its type, or a map of type and config."""
    match field.value:
        case str():
            return Executor(type=_type(field) or "")
        case dict():
            return _executor_map(field)
        case _:
            field.expect("a text or a map with type and config")
            return None


@accepts(any_of(*_ITEMS["anyOf"], map_of(PARALLEL, others=True) | {"required": ["items"]}))
def parallel(field: Field) -> Parallel | None:
    """Read the items of a parallel call, or the text that evaluates to them when the step runs."""
    if not isinstance(field.value, dict):
        items = _items(field, "a text, a list or a map with items")
        return None if items is None else Parallel(**items)
    warn_unknown_keys(field, list(PARALLEL))
    fields: Fields = {}
    for key, entry in field.entries():
        if key == "items":
            found = _items(entry, "a text or a list")
            if found is None:
                return None
            fields |= found
        elif key == "maxConcurrent":
            number = any_integer(entry)
            if number is not None:
                fields["max_concurrent"] = number
    return Parallel(**fields)


@accepts(TEXT)
def call(field: Field) -> str | None:
    """Read the name of the DAG to call; a blank one calls nothing."""
    return trimmed(field)


@accepts(TEXT | {"deprecated": True, "pattern": rf"^\s*({CALLABLE})?\s*$"})
def deprecated_call(field: Field) -> str | None:
    """Read the old spelling of ``call``; what cannot be the name of a DAG is a command of the 2.x dialect."""
    name = trimmed(field)
    if name and not re.fullmatch(CALLABLE, name):
        field.report.keys_of_2x.append(KeyOf2x(field.mark, field.path, "run"))
        return name
    field.warn("run is the old spelling of call; write call")
    return name


def _executor_map(field: Field) -> Executor | None:
    found: Fields = {}
    known = list(EXECUTOR)
    for key, entry in field.entries():
        if key not in EXECUTOR:
            refuse_unknown_key(field, key, known, "" if intended_key(key, known) else "config")
        elif key == "config":
            found[key] = config(entry)
        else:
            found[key] = _type(entry)
    return None if None in found.values() else Executor(**found)


def _type(field: Field) -> str | None:
    """Read the type; an unknown one fails the step when it runs, not the definition (3.6)."""
    kind = trimmed(field)
    if kind and kind not in EXECUTOR_TYPES:
        meant = closest(kind, EXECUTOR_TYPES) if field.report.may_hint() else ""
        hint = f"; did you mean {meant}?" if meant else ""
        field.warn(f"there is no executor {quoted(kind)}, so the step would fail{hint}")
    return kind


@accepts(MAP)
def config(field: Field) -> dict[str, Json] | None:
    """Read the config of an executor unchanged."""
    if isinstance(field.value, dict):
        return {key: unwrap(node) for key, node in field.value.items()}
    field.expect("a map")
    return None


def _items(field: Field, wanted: str) -> Fields | None:
    match field.value:
        case str():
            return {"variable": field.value.strip()}
        case list():
            items = tuple(_read_items(field))
            return None if field.value and not items else {"items": items}
        case _:
            field.expect(wanted)
            return None


def _read_items(field: Field) -> Iterator[str | tuple[Pair, ...]]:
    for item in field.items():
        if isinstance(item.value, dict):
            pairs: list[Pair] = []
            for key, entry in item.entries():
                if entry.value is None or isinstance(entry.value, list | dict):
                    entry.expect("a text, a number, true or false")
                else:
                    pairs.append(Pair(key, render(entry.value)))
            yield tuple(pairs)
        elif isinstance(item.value, str) or is_number(item.value):
            yield render(item.value)
        else:
            item.expect("a text, a number or a map")
