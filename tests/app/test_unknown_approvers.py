"""A validation warns of approvers who are no users or groups, for callers who may write definitions."""

from __future__ import annotations

from dagbook.auth.roles import Role
from tests.app.people import People

SPEC = """
steps:
  - {name: gate, type: hitl, config: {approvers: [KNOWN, nobody-yet, "group:release", "group:ops", "${WHO}"]}}
---
name: below
steps: [{name: inner, type: hitl, config: {approvers: [nobody-yet]}}]
"""


async def test_unknown_approvers_are_told_to_who_may_write(people: People) -> None:
    boss, manager, viewer = [await people.add(role) for role in (Role.ADMIN, Role.MANAGER, Role.VIEWER)]
    async with people.client(boss.token) as admin:
        assert (await admin.post("/groups", json={"name": "release"})).status_code == 201
        known = (await admin.get("/auth/me")).json()["user"]["username"]
    warnings = []
    for person in (manager, viewer):
        async with people.client(person.token) as client:
            answer = await client.post("/dags/validate", json={"spec": SPEC.replace("KNOWN", known)})
        warnings.append(answer.json().get("warnings", []))
    assert warnings == [
        [
            'step "gate": approvers: there is no user "nobody-yet"; create it, or correct the name',
            'step "gate": approvers: there is no group "ops"; create it, or correct the name',
            'step "inner": approvers: there is no user "nobody-yet"; create it, or correct the name',
        ],
        [],
    ]
