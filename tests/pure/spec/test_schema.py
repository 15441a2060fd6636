from __future__ import annotations

import json
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest

from dagbook.json_values import JsonObject
from dagbook.spec.model import Pair
from dagbook.spec.params.json_schema import validate
from dagbook.spec.problem import SpecError

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mode": {"enum": ["fast", "slow"], "default": "fast"},
        "batch": {"$ref": "#/$defs/count", "default": 10},
        "code": {"type": "string"},
        "opts": {"type": "object", "properties": {"deep": {"default": True}}},
    },
    "required": ["code"],
    "additionalProperties": False,
    "$defs": {"count": {"type": "integer", "minimum": 1}},
}


def checked(schema: JsonObject, **values: str) -> list[str]:
    return [f"{pair.name}={pair.value}" for pair in validate((Pair(*item) for item in values.items()), schema)]


def test_defaults_are_filled_in_after_the_given_values_in_the_order_of_the_schema() -> None:
    assert checked(SCHEMA, code="x", batch="5") == ["code=x", "batch=5", "mode=fast"]


def test_defaults_are_filled_in_inside_an_object_too() -> None:
    assert 'opts={"x":1,"deep":true}' in checked(SCHEMA, code="x", opts='{"x": 1}')


@pytest.mark.parametrize(("given", "written"), [("007", "007"), ("12", "12"), ("[1]", "[1]"), ("a b", "a b")])
def test_a_text_that_the_schema_wants_as_text_stays_one(given: str, written: str) -> None:
    assert checked(SCHEMA, code=given)[0] == f"code={written}"


@pytest.mark.parametrize(
    ("given", "written"),
    [("5.0", "5"), ("true", "true"), ('{"a": [1, 2]}', '{"a":[1,2]}'), ("null", ""), ('"q"', "q"), ("plain", "plain")],
)
def test_values_are_written_back_as_json_writes_them(given: str, written: str) -> None:
    assert checked({}, A=given) == [f"A={written}"]


def test_every_fault_is_named() -> None:
    with pytest.raises(SpecError) as caught:
        checked(SCHEMA, mode="never", batch="0", extra="1")
    assert sorted(problem.path for problem in caught.value.problems) == [
        "params",
        "params",
        "params.batch",
        "params.mode",
    ]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objekt"}, "schema itself is not valid"),
        ({"properties": {"A": {"type": 1}}}, "schema itself is not valid"),
        ({"properties": {"A": {"type": "integer", "default": "x"}}}, "the default that the schema gives"),
        ({"$ref": "http://example.invalid/schema.json"}, "which it does not hold"),
        ({"$ref": "#/$defs/none"}, "which it does not hold"),
        ({"$ref": "#"}, "refers to itself"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        checked(schema, B="1")


def _doubling(depth: int, last: dict[str, Any]) -> dict[str, Any]:
    """Make definitions of which each refers twice to the next, so that the first costs 2 to their number."""
    chain = {f"a{number}": {"allOf": [{"$ref": f"#/$defs/a{number + 1}"}] * 2} for number in range(depth)}
    return {**chain, f"a{depth}": last}


DOUBLING = _doubling(40, {"type": ["object", "string"]})
A_WITHOUT_END = "a" * 50 + "!"


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a+)+$"},
        {"propertyNames": {"pattern": "^(a+)+$"}},
        {"patternProperties": {"^(a+)+$": True}},
        {"patternProperties": {"^(a+)+$": True}, "additionalProperties": {"type": "string"}},
        {"patternProperties": {"^(a+)+$": True}, "unevaluatedProperties": {"type": "string"}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a+)+$"},
    ],
)
def test_no_pattern_of_a_schema_takes_long(schema: dict[str, Any]) -> None:
    value = A_WITHOUT_END if "pattern" in schema else json.dumps({A_WITHOUT_END: "x"})
    started = monotonic()
    with suppress(SpecError):
        validate([Pair("p", value)], {"properties": {"p": schema}})
    assert monotonic() - started < 5


@pytest.mark.parametrize("schema", [{"pattern": "(?=a)"}, {"pattern": "("}, {"pattern": r"\pL{900}"}])
def test_a_pattern_that_cannot_be_used_names_the_schema(schema: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"^params: the schema's pattern \"") as refused:
        validate([Pair("p", "x")], {"properties": {"p": schema}})
    assert any(reason in str(refused.value) for reason in ("is no regular expression", "is too large"))


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": DOUBLING, "$ref": "#/$defs/a0"},
        {"unevaluatedProperties": False, "$defs": DOUBLING, "$ref": "#/$defs/a0"},
        {"$defs": DOUBLING, "properties": {"p": {"$schema": DRAFT_7, "allOf": [{"$ref": "#/$defs/a0"}]}}},
        pytest.param({"properties": {"p": {"anyOf": [{"type": "integer"}] * 4_000}}}, marks=pytest.mark.full),
        pytest.param(
            {"properties": {"p": {"allOf": [{"pattern": f"a.{{50}}c{number}"} for number in range(3_000)]}}},
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_schema_that_would_take_for_ever_is_refused_with_a_reason(schema: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="checking the schema takes too long"):
        validate([Pair("p", "a" * 200_000)], schema)


def test_a_schema_of_very_many_values_is_refused() -> None:
    with pytest.raises(SpecError, match="the schema has more than 10000 values"):
        checked({"enum": list(range(10_000))})


def test_a_schema_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2_000):
        schema = {"not": schema}
    with pytest.raises(SpecError, match="nested too deeply"):
        checked(schema)


def test_many_different_items_are_compared_quickly() -> None:
    items = [number if number % 2 else {"a": number} for number in range(20_000)]
    schema: JsonObject = {"properties": {"p": {"type": "array", "uniqueItems": True}}}
    assert len(validate([Pair("p", json.dumps(items))], schema)) == 1
    for equal in ([1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]):
        with pytest.raises(SpecError, match="the list has equal items"):
            validate([Pair("p", json.dumps(equal))], schema)
    assert checked(schema, p="[1, true]") == ["p=[1,true]"]


def test_long_values_and_many_problems_are_shortened() -> None:
    schema: JsonObject = {"properties": {"p": {"type": "array", "items": {"maxLength": 10}}}}
    with pytest.raises(SpecError) as refused:
        validate([Pair("p", json.dumps(["x" * 5_000] * 500))], schema)
    assert len(refused.value.problems) == 100
    assert all(len(problem.message) < 1_100 for problem in refused.value.problems)


def test_a_number_that_is_too_large_for_the_schema_is_refused() -> None:
    with pytest.raises(SpecError, match="too large for the schema's multipleOf"):
        checked({"properties": {"A": {"multipleOf": 1.5}}}, A="1" + "0" * 400)
