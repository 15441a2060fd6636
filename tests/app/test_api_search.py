"""Search in stored definitions, and their tags (api-behaviour ops 26 and 27)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.app.dagbook import client_of, serving

STORED = {
    "Zeta": "description: The Needle\nmaxActiveRuns: 1\nsteps:\n  - command: sleep 4\ntags: [One, two]\n",
    "alpha": "steps:\n  - command: echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\ntags: two, three\n",
    "beta": "# Größe\r\n# needle\r\n\r\nsteps: []\r\n",
    "search": "steps: []\n",
}


@pytest.fixture(scope="module")
async def library(copies: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A server with a few DAGs and no others."""
    async for url in copies.copy():
        async with serving(url, tmp_path_factory.mktemp("home")) as opened, client_of(opened) as client:
            for name, spec in STORED.items():
                answer = await client.post("/dags", json={"name": name, "spec": spec})
                assert answer.status_code == 201, answer.text
            yield client


async def _search(client: httpx.AsyncClient, expression: str) -> dict[str, Any]:
    answer = await client.get("/dags/search", params={"q": expression})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_hit_is_shown_with_two_lines_before_and_after_it(library: httpx.AsyncClient) -> None:
    found = await _search(library, "sleep")
    assert found["errors"] == []
    (result,) = found["results"]
    assert (result["name"], result["dag"]["name"]) == ("Zeta", "Zeta")
    assert result["matches"] == [
        {
            "line": "maxActiveRuns: 1\nsteps:\n  - command: sleep 4\ntags: [One, two]",
            "lineNumber": 4,
            "startLine": 2,
        }
    ]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("NEEDLE", ["Zeta", "beta"]),  # by file name, capitals first
        ("größe", ["beta"]),
        ("GRÖSSE", []),
        ("   -", []),
        ("  -", ["Zeta", "alpha"]),
        ("sl.*4$", ["Zeta"]),
        ("^STEPS: \\[\\]$", ["beta", "search"]),  # the line end is no part of the line
        ("^$", ["beta"]),
        ("[[:upper:]]{2}", ["Zeta", "alpha", "beta", "search"]),
        ("command: (sleep|echo)", ["Zeta", "alpha"]),
        ("needle\n", []),
        ("nobody", []),
        ("a\0", []),
    ],
)
async def test_an_expression_is_looked_for_in_every_line_whatever_its_case(
    library: httpx.AsyncClient, expression: str, names: list[str]
) -> None:
    found = await _search(library, expression)
    assert ([result["name"] for result in found["results"]], found["errors"]) == (names, [])


@pytest.mark.parametrize("expression", ["(", "a{2,1}", "[z-a]", "*", r"\p"])
async def test_what_is_no_expression_is_told_once(library: httpx.AsyncClient, expression: str) -> None:
    found = await _search(library, expression)
    assert found["results"] == []
    (message,) = found["errors"]
    assert message.startswith("q: is no regular expression")


async def test_an_expression_that_backtracking_would_never_finish_is_answered(library: httpx.AsyncClient) -> None:
    begun = time.monotonic()
    found = await _search(library, "(a+)+$")
    assert (found["results"], found["errors"]) == ([], [])
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("query", ["", "?q="])
async def test_a_search_needs_something_to_look_for(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/dags/search{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith(("q:", "Missing required query parameter 'q'"))


async def test_tags_of_all_dags_are_listed_once_and_sorted(library: httpx.AsyncClient) -> None:
    answer = await library.get("/dags/tags")
    assert answer.json() == {"tags": ["one", "three", "two"], "errors": []}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("tag=TWO", ["alpha", "Zeta"]),
        ("tag=tw", []),
        ("tag=,", []),
        ('tag="two"', []),
        ("tag=%00", []),
        ("name=ZE", ["Zeta"]),
        ("name=%25", []),
        ("name=%00", []),
        ("name=e&tag=one", ["Zeta"]),
        ("page=2&perPage=3", ["Zeta"]),
        ("page=9223372036854775807&perPage=1000", []),
    ],
)
async def test_the_list_of_dags_is_narrowed_by_whole_tags_and_parts_of_names(
    library: httpx.AsyncClient, query: str, names: list[str]
) -> None:
    answer = await library.get(f"/dags?{query}")
    assert answer.status_code == 200, answer.text
    assert [dag["fileName"] for dag in answer.json()["dags"]] == names


async def test_a_dag_may_be_called_like_a_fixed_path(dagbook: Any) -> None:
    for name in ("tags", "validate"):
        assert (await dagbook.client.post("/dags", json={"name": name})).status_code == 201
    details = await dagbook.client.get("/dags/validate")
    assert details.json()["dag"]["name"] == "validate"
    assert (await dagbook.client.get("/dags/tags/spec")).status_code == 200
    for name in ("tags", "validate"):
        assert (await dagbook.client.delete(f"/dags/{name}")).status_code == 204
        assert (await dagbook.client.delete(f"/dags/{name}")).status_code == 404
