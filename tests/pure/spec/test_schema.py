from __future__ import annotations

from typing import Any

import pytest

from dagbook.spec.model import Pair
from dagbook.spec.params.json_schema import validate
from dagbook.spec.problem import SpecError

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


def checked(schema: dict[str, Any], **values: str) -> list[str]:
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
        ({"properties": {"A": {"pattern": "("}}}, "schema itself is not valid"),
        ({"properties": {"A": {"type": "integer", "default": "x"}}}, "the default that the schema gives"),
        ({"$ref": "http://example.invalid/schema.json"}, "which it does not hold"),
        ({"$ref": "#/$defs/none"}, "which it does not hold"),
        ({"$ref": "#"}, "refers to itself"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        checked(schema, B="1")
