"""Roles from the claims of an account at a provider. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dagbook.auth.roles import Role, higher_role
from dagbook.json_values import JsonObject

Claims = JsonObject


class RoleRule(msgspec.Struct, frozen=True):
    """An account whose claim has the value, or a list with it, gets the role; a claim within another is ``a.b``."""

    claim: str
    value: str
    role: Role


def read_rule(text: str) -> RoleRule:
    """Read a rule ``CLAIM=VALUE:ROLE``; raises ValueError."""
    condition, _, role = text.rpartition(":")
    claim, _, value = condition.partition("=")
    if not claim or not value or role not in list(Role):
        raise ValueError(f"{text!r} is no rule; write CLAIM=VALUE:ROLE such as groups=ops:operator")
    return RoleRule(claim, value, Role(role))


def role_of(claims: Claims, rules: Iterable[RoleRule]) -> Role | None:
    """Return the highest role that a rule gives to an account, or None."""
    found = None
    for rule in rules:
        if rule.value in values_of(claims, rule.claim):
            found = rule.role if found is None else higher_role(found, rule.role)
    return found


def values_of(claims: Claims, name: str) -> Sequence[str]:
    """Return the values of a claim as texts; a claim that is missing or an object has none."""
    value = claims.get(name)
    if value is None:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    values = value if isinstance(value, list) else [value]
    texts = {True: "true", False: "false"}
    return [
        texts[each] if isinstance(each, bool) else str(each) for each in values if isinstance(each, str | bool | int)
    ]
