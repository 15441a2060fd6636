"""Steps whose names are no segments of a path are reached like all others (docs/reference/api-extensions.md)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dagbook.main import API_PATH, Server
from tests.app.dagbook import Dagbook, FinishedRun, client_of

NAMES = ("a/b", "/", "a//b/", "../../etc/passwd", "a%2Fb", "what? #1 100%", '😀 / "it\'s"', "..", "log", "x/log")


def segment(name: str) -> str:
    """Write a name as web browsers can send it: they take dots alone for the way up."""
    return ("%20" if name in (".", "..") else "") + quote(name, safe="")


@pytest.fixture(scope="module")
async def many(server: Server) -> AsyncIterator[FinishedRun]:
    """A run with steps of such names; each has written its place in the list."""
    steps = [{"name": name, "command": f"echo step {index}"} for index, name in enumerate(NAMES)]
    async with client_of(server) as client:
        yield await Dagbook(client, "named").run(json.dumps({"type": "graph", "steps": steps}, ensure_ascii=False))


async def ask(run: FinishedRun, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    """Send a path as it is written here."""
    raw = f"{API_PATH}{run.path}{path}".encode()
    return await run.client.request(method, httpx.URL("http://localhost").copy_with(raw_path=raw), **options)


@pytest.mark.parametrize("name", NAMES)
async def test_the_log_of_a_step_of_any_name_is_found(many: FinishedRun, name: str) -> None:
    answer = await ask(many, f"/steps/{segment(name)}/log")
    assert (answer.status_code, answer.json()["content"]) == (200, f"step {NAMES.index(name)}"), answer.text


async def test_it_is_downloaded_under_one_name_and_its_status_is_set(many: FinishedRun) -> None:
    answer = await ask(many, "/steps/a%2fb/log/download")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "step 0\n"
    assert answer.headers["content-disposition"].endswith("''a%2Fb.out")
    assert (await ask(many, "/steps/a%2Fb/status", "PATCH", json={"status": 2})).status_code == 200
    details = (await many.client.get(many.path)).json()["dagRunDetails"]
    assert details["nodes"][0]["statusLabel"] == "failed"


async def test_a_method_that_the_route_lacks_is_refused_as_elsewhere(many: FinishedRun) -> None:
    answer = await ask(many, "/steps/a%2Fb/log", "DELETE")
    assert (answer.status_code, "GET" in answer.headers["allow"]) == (405, True)
