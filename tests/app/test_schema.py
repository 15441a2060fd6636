"""The JSON Schema of definitions, printed and served; what it says is tested in tests/pure/spec/test_grammar.py."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx

from dagbook.spec.grammar import schema
from tests.app.program import CommandResult


async def test_the_schema_is_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/schemas/dag")
    assert (answer.status_code, answer.json()) == (200, schema())
    assert answer.headers["Content-Type"].startswith("application/schema+json")


def test_the_schema_is_printed(command: Callable[..., CommandResult]) -> None:
    said = command("schema")
    assert (said.status, json.loads(said.out)) == (0, schema())
