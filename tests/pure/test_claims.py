"""Roles from the claims of an account at a provider."""

from __future__ import annotations

from typing import Any

import pytest

from dagbook.auth.claims import read_rule, role_of
from dagbook.auth.roles import Role
from dagbook.json_values import Json

RULES = [read_rule(text) for text in ("groups=ops:operator", "groups=bosses:admin", "realm.roles=dag=s:manager")]


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({}, None),
        ({"groups": []}, None),
        ({"groups": ["ops"]}, Role.OPERATOR),
        ({"groups": "ops"}, Role.OPERATOR),
        ({"groups": ["OPS", "op", "ops "]}, None),
        ({"groups": ["bosses", "ops"]}, Role.ADMIN),
        ({"groups": ["ops"], "realm": {"roles": ["dag=s"]}}, Role.MANAGER),
        ({"realm.roles": ["dag=s"]}, Role.MANAGER),
        ({"realm": ["roles"]}, None),
        ({"realm": {"roles": {"dag=s": True}}}, None),
        ({"groups": {"ops": 1}}, None),
        ({"groups": [["ops"], None, {"ops": 1}]}, None),
    ],
)
def test_the_highest_role_of_the_rules_that_fit_counts(claims: dict[str, Any], role: Role | None) -> None:
    assert role_of(claims, RULES) is role


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (7, "7"), ("7", "7")])
def test_a_value_is_compared_as_text(value: Json, text: str) -> None:
    assert role_of({"staff": value}, [read_rule(f"staff={text}:viewer")]) is Role.VIEWER


@pytest.mark.parametrize(
    "text", ["", "groups", "groups=ops", "groups=ops:boss", "=ops:viewer", "groups=:viewer", "a:viewer"]
)
def test_what_is_no_rule_is_refused_with_the_form_of_one(text: str) -> None:
    with pytest.raises(ValueError, match="is no rule; write CLAIM=VALUE:ROLE such as groups=ops:operator"):
        read_rule(text)
