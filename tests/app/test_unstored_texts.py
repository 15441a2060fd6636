"""Texts that are not stored open no files for callers who may not write definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.auth.roles import Role
from tests.app.people import People, code_of, serving_people
from tests.conftest import Copies

SCHEMA = {"properties": {"who": {"const": "secret"}}}


@pytest.fixture
def references(tmp_path: Path) -> list[str]:
    """Files of all kinds by which a text may tell what is on the machine."""
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "text").write_text("root:x:0:0")
    (tmp_path / "closed").write_text("{}")
    (tmp_path / "closed").chmod(0)
    names = ("schema.json", "text", "closed", "none", ".")
    return [*(str(tmp_path / name) for name in names), "/etc/passwd", "../../../../../etc/passwd", "~/.profile"]


async def validated(client: httpx.AsyncClient, reference: str, **before: str) -> dict[str, Any]:
    """Return the answer for a text with a schema, and with one in a document below it."""
    params = f"params: {json.dumps({'schema': reference, 'values': {'who': 'me'}})}\nsteps: [echo]\n"
    head = "".join(f"{key}: {value}\n" for key, value in before.items())
    answer = await client.post("/dags/validate", json={"spec": f"{head}{params}---\nname: below\n{params}"})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("caller", ["viewer", "operator", "granted", "token"])
async def test_a_validation_says_the_same_of_each_file(
    people: People, references: list[str], tmp_path: Path, caller: str
) -> None:
    role = {"viewer": Role.VIEWER, "operator": Role.OPERATOR}.get(caller, Role.MANAGER)
    boss, person = await people.add(Role.ADMIN), await people.add(role)
    token = person.token
    async with people.client(boss.token) as admin, people.client(person.token) as own:
        if caller == "granted":
            await admin.patch(f"/users/{person.id}", json={"scope": "granted"})
            grant = {"role": "manager", "pattern": "etl-*", "userId": person.id}
            assert (await admin.post("/grants", json=grant)).status_code == 201
        if caller == "token":
            token = (await own.post("/tokens", json={"name": "ci", "role": "viewer"})).json()["token"]
    async with people.client(token) as client:
        found = [await validated(client, reference) for reference in references]
        found += [await validated(client, "schema.json", workingDir=str(tmp_path))]
    for answer in found:
        assert (answer["valid"], answer["errors"]) == (True, [])
        told = [warning for warning in answer["warnings"] if "params.schema" in warning]
        assert [warning.partition("params.schema")[0] for warning in told] == ["", "below: "]
        assert "you may not write definitions" in told[0]
    assert len({json.dumps(answer["warnings"]) for answer in found}) == 1


async def test_a_validation_by_authors_reads_the_file(people: People, references: list[str]) -> None:
    manager = await people.add(Role.MANAGER)
    async with people.client(manager.token) as client:
        found = await validated(client, references[0])
        assert found["errors"] == [
            f"{label}params.who: does not match the schema: 'secret' was expected" for label in ("", "below: ")
        ]
        assert not any("params.schema" in warning for warning in found.get("warnings", []))
        assert "is no JSON Schema" in (await validated(client, references[1]))["errors"][0]


async def test_a_run_of_a_text_that_is_refused_says_nothing_of_files(
    copies: Copies, tmp_path: Path, references: list[str]
) -> None:
    async for url in copies.copy():
        async with serving_people(url, tmp_path / "home", inline_runs_need_write="true") as people:
            operator = await people.add(Role.OPERATOR)
            async with people.client(operator.token) as client:
                for path in ("/dag-runs", "/dag-runs/enqueue"):
                    answers = [await sent(client, path, reference) for reference in references]
                    assert {code for code, _ in answers} == {(403, "forbidden")}
                    assert len(set(answers)) == 1


async def sent(client: httpx.AsyncClient, path: str, reference: str) -> tuple[tuple[int, str], str]:
    """Return the code and message for a run of a text that names a file."""
    spec = f"params: {{schema: {reference}}}\ndotenv: {reference}\nsteps: [{{call: {reference}}}]\n"
    answer = await client.post(path, json={"name": "x", "spec": spec})
    return code_of(answer), answer.json()["message"]
