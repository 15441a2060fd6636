"""The JSON Schema of a document: every object becomes a definition, every row of its keys a property."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec

from dagbook.spec.build.chat import LLM, MESSAGE, THINKING
from dagbook.spec.build.dag_fields import MAIL, MAIL_ON, RUN_CONFIG, SECRET, SMTP
from dagbook.spec.build.hosts import CONTAINER, ONLY_WITH_IMAGE, SSH
from dagbook.spec.build.object_schema import ObjectSchema, annotate
from dagbook.spec.build.policies import CONDITION, REPEAT, RETRY
from dagbook.spec.build.root import HANDLERS, ROOT
from dagbook.spec.build.scalars import FALSE_WORDS
from dagbook.spec.build.steps import STEP
from dagbook.spec.config_keys import CONFIG_KEYS
from dagbook.spec.schemas import BLANK, NOT_BLANK, NOTHING, TEXT, JsonSchema, any_case, any_of, nullable, reference

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ABOUT = (
    "One document of a definition. A text that does not fit is wrong; one that fits may still have mistakes that a "
    "schema cannot tell, such as a dependency that is not there: 'dagbook validate' finds those too."
)

# The objects of the format. In a condition alone a null is not the same as nothing (DAG format 1.4).
PARTS: dict[str, ObjectSchema] = {
    schema.part: schema
    for schema in (
        *(ROOT, STEP, HANDLERS, SMTP, MAIL_ON, MAIL, CONTAINER, SSH, SECRET, RUN_CONFIG),
        *(RETRY, REPEAT, CONDITION, LLM, THINKING, MESSAGE),
    )
}


@cache
def schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of one document of a definition; cached, not to be modified."""
    parts = {name: _object(part) for name, part in PARTS.items()}
    parts["handlerOn"]["not"] = _all_said("abort", "cancel")
    parts["repeatPolicy"] |= {
        "if": {"required": ["repeat"], "properties": {"repeat": {"enum": ["while", "until"]}}},
        "then": any_of(_said("condition"), _said("exitCode")),
    }
    parts["step"]["not"] = any_of(*(_all_said("container", key) for key in ("script", "shell", "call", "run")))
    parts["step"]["allOf"] = [_config_of(kind) for kind in CONFIG_KEYS if ":" not in kind]
    parts["container"] |= _container_needs()
    parts["condition"]["anyOf"] = [_said("condition"), _said("command")]
    parts["preconditions"] = any_of(
        TEXT,
        reference("condition"),
        {"type": "array", "items": nullable(reference("preconditions"))},
    )
    parts["steps"] = _steps()
    parts["modelOfStep"] = {"allOf": [reference("llm"), _said("provider"), _said("model")]}
    parts |= {f"{kind}Config": _config(kind) for kind in CONFIG_KEYS if ":" not in kind}
    return {"$schema": _DIALECT, "title": "DAG", "description": _ABOUT, "$ref": "#/$defs/dag", "$defs": parts}


def _defaults(part: ObjectSchema) -> Mapping[str, object]:
    """Return the defaults of an object's keys, without those that say nothing: empty texts, lists and objects."""
    if part.model is None:
        return part.defaults
    of_fields = {field.name: field.default for field in msgspec.structs.fields(part.model)}
    found = {key: of_fields.get(name) for key, name in part.fields.items()}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}
    kept: dict[str, object] = {key: value for key, value in plain.items() if value and isinstance(value, str | list)}
    kept |= {key: value for key, value in plain.items() if isinstance(value, bool | int | float)}
    return {**kept, **part.defaults}


def _object(part: ObjectSchema) -> JsonSchema:
    """Describe an object. Keys are case-insensitive; editors complete them in the format's spelling."""
    properties = {}
    defaults = _defaults(part)
    for key, row in part.rows.items():
        is_said = key in part.required or part is CONDITION or not row.schema
        properties[key] = annotate(row) | (row.schema if is_said else nullable(row.schema))
        if key in defaults:
            properties[key]["default"] = defaults[key]
    spellings = {f"^{any_case(key)}$": {"$ref": f"#/$defs/{part.part}/properties/{key}"} for key in part.rows}
    made: JsonSchema = {
        "type": "object",
        "properties": properties,
        "patternProperties": spellings,
        "additionalProperties": False,
    }
    return made | ({"allOf": [_named(key) for key in part.required]} if part.required else {})


def _config(name: str) -> JsonSchema:
    """Describe the keys of a config for editors; values are checked when the step runs, unknown keys are ignored."""
    properties: JsonSchema = {}
    for key, known in CONFIG_KEYS[name].items():
        properties[key] = {"description": known.meaning, "examples": [known.example], "x-since": known.since}
        if known.default is not None:
            properties[key]["default"] = known.default
        if (below := f"{name}: {key}") in CONFIG_KEYS:
            properties[key] |= _config(below)
    return {"properties": properties}


def _config_of(kind: str) -> JsonSchema:
    """Describe the config of a step of a type, in both forms."""
    is_kind = {"required": ["type"], "properties": {"type": {"const": kind}}}
    described = {"properties": {"config": reference(f"{kind}Config")}}
    return {
        "if": is_kind,
        "then": described,
        "else": {"properties": {"executor": {"if": is_kind, "then": described}}},
    }


def _named(key: str) -> JsonSchema:
    """Require a key, case-insensitive."""
    return any_of({"required": [key]}, {"not": {"propertyNames": {"not": {"pattern": f"^{any_case(key)}$"}}}})


def _said(key: str) -> JsonSchema:
    """Require a key with a non-empty value, case-insensitive."""
    empty = any_of(NOTHING, {"enum": ["", []]})
    return _named(key) | {"not": {"properties": {key: empty}, "required": [key]}}


def _all_said(*keys: str) -> JsonSchema:
    return {"required": list(keys), "properties": {key: {"not": NOTHING} for key in keys}}


def _container_needs() -> JsonSchema:
    """Require an image or a running container, as only some keys do; keys of later formats are allowed."""
    empty, is_false = any_of(BLANK, {"enum": [[]]}), any_of(BLANK, {"enum": [False, 0, *sorted(FALSE_WORDS)]})
    nothing_else = {
        f"^{any_case(key)}$": is_false if key == "keepContainer" else empty for key in sorted(ONLY_WITH_IMAGE)
    }
    return {
        "additionalProperties": True,
        "oneOf": [_filled("image"), _filled("exec") | {"patternProperties": nothing_else}],
    }


def _filled(key: str) -> JsonSchema:
    """Require a key whose value is not a blank text, case-insensitive."""
    return {"not": {"patternProperties": {f"^{any_case(key)}$": BLANK}}}


def _steps() -> JsonSchema:
    item = any_of(NOT_BLANK, reference("step"))
    return any_of(
        {"type": "array", "items": any_of(*item["anyOf"], {"type": "array", "items": item})},
        {"type": "object", "additionalProperties": nullable(reference("step"))},
    )
