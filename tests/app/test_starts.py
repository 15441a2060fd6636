"""The short way of the request that begins a run: it answers as the usual one, and begins nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api import starts
from app.api.controllers import runs
from app.api.starts import Starts
from app.db.failure import DatabaseUnavailable
from tests.app.dagbook import USUAL, Based, Dagbook, Watched, client_of, headers_told, layer_of, serving
from tests.app.people import People

SPEC = "maxActiveRuns: 10\nsteps: [{name: a, command: 'true'}]\n"


@pytest.fixture
def usual(based: Based) -> Iterator[Watched]:
    """Count the requests that go the usual way."""
    with Watched(layer_of(based.server, Starts)) as watched:
        yield watched


@pytest.fixture
def client(based: Based) -> httpx.AsyncClient:
    return based.client


def told(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Return all of an answer but the numbers of the request and of the run."""
    body = answer.json()
    if "dagRunId" in body:
        body["dagRunId"] = len(body["dagRunId"])
    return answer.status_code, headers_told(answer), body


async def compare(client: httpx.AsyncClient, usual: Watched, body: dict[str, Any]) -> httpx.Response:
    before = usual.handed_on
    short = await client.post("/dag-runs", json=body)
    assert usual.handed_on == before
    assert told(short) == told(await client.post("/dag-runs", json=body, params=USUAL))
    assert usual.handed_on == before + 1
    return short


async def test_a_run_is_begun_on_both_ways_alike(client: httpx.AsyncClient, usual: Watched, name: str) -> None:
    answer = await compare(client, usual, {"name": name, "spec": SPEC, "params": "A=1", "singleton": False})
    dagbook = Dagbook(client, name)
    assert (await dagbook.finished(answer.json()["dagRunId"])).status == "succeeded"
    found = (await client.get("/dag-runs", params={"name": name})).json()["dagRuns"]
    assert [run["params"] for run in found] == ["A=1", "A=1"]
    entries = (await client.get("/audit", params={"action": "run.start"})).json()["entries"]
    assert {entry["object"] for entry in entries} >= {f"{name}/{run['dagRunId']}" for run in found}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"spec": SPEC, "name": "a/b"}, 400),
        ({"spec": SPEC}, 400),
        ({"spec": " ", "name": "x"}, 400),
        ({"spec": "steps: {", "name": "x"}, 400),
        ({"spec": "steps: [{name: a, depends: a, command: b}]", "name": "x"}, 400),
        ({"spec": SPEC, "name": "x", "dagRunId": "ä"}, 400),
        ({"spec": SPEC, "name": "x", "params": "a\0"}, 400),
        ({"spec": SPEC, "name": "x", "sourceDirectory": "relative"}, 400),
    ],
)
async def test_what_is_refused_is_refused_on_both_ways_alike(
    client: httpx.AsyncClient, usual: Watched, body: dict[str, Any], status: int
) -> None:
    assert (await compare(client, usual, body)).status_code == status


async def test_an_id_that_is_taken_is_refused_on_both_ways_alike(
    client: httpx.AsyncClient, usual: Watched, name: str
) -> None:
    body = {"spec": SPEC, "name": name, "dagRunId": "taken"}
    assert (await client.post("/dag-runs", json=body)).status_code == 200
    assert (await compare(client, usual, body)).status_code == 409


@pytest.mark.parametrize(
    ("error", "status"), [(DatabaseUnavailable("it is away"), 503), (ValueError("of its own making"), 500)]
)
async def test_what_goes_wrong_is_told_on_both_ways_alike_and_not_tried_again(
    client: httpx.AsyncClient, usual: Watched, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    tries = 0

    async def fail(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise error

    monkeypatch.setattr(starts, "start_from", fail)
    monkeypatch.setattr(runs, "start_from", fail)
    assert (await compare(client, usual, {"spec": SPEC, "name": "x"})).status_code == status
    assert tries == 2


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"spec": 1}', 400),
        (b'{"name": "x"}', 400),
        (b'{"spec": "\xff"}', 400),
        (b"[" * 15_000, 400),
        (b'{"spec": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
async def test_a_body_that_is_not_as_it_should_be_goes_the_usual_way(
    client: httpx.AsyncClient, usual: Watched, content: bytes, status: int
) -> None:
    answer = await client.post("/dag-runs", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["code"] == "bad_request"
    assert usual.handed_on == 1


@pytest.mark.parametrize(("filler", "status", "ways"), [(b"", 200, 0), (b"x" * 9_000, 413, 1)])
async def test_a_body_in_pieces_is_read_whole(
    client: httpx.AsyncClient, usual: Watched, name: str, filler: bytes, status: int, ways: int
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"name": "%s", "spec": "' % name.encode()
        yield b"steps: [{name: a, command: 'true'}] # " + filler
        yield filler
        yield filler + b'"}'

    answer = await client.post("/dag-runs", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert usual.handed_on == ways


async def test_another_content_type_goes_the_usual_way(client: httpx.AsyncClient, usual: Watched, name: str) -> None:
    content = b'{"name": "%s", "spec": "steps: [{name: a, command: \'true\'}]"}' % name.encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl says when it is told nothing
    assert (await client.post("/dag-runs", content=content, headers=form)).status_code == 200
    assert usual.handed_on == 1


async def test_other_methods_and_paths_go_the_usual_way(client: httpx.AsyncClient, usual: Watched, name: str) -> None:
    assert (await client.get("/dag-runs")).status_code == 200
    assert (await client.put("/dag-runs", json={})).status_code == 405
    body = {"name": name, "spec": SPEC}
    assert (await client.post("/dag-runs/enqueue", json=body)).status_code == 200
    assert usual.handed_on == 3


async def test_a_page_of_another_site_goes_the_usual_way(database_url: str, tmp_path: Path, name: str) -> None:
    site = "https://site.example"
    async with serving(database_url, tmp_path / "home", cors_origins=site) as server, client_of(server) as client:
        with Watched(layer_of(server, Starts)) as usual:
            body = {"name": name, "spec": SPEC}
            answer = await client.post("/dag-runs", json=body, headers={"Origin": site})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == site
        assert usual.handed_on == 1


async def test_nobody_begins_a_run_without_the_rights(people: People, name: str) -> None:
    viewer, operator = await people.add("viewer"), await people.add("operator")
    body = {"name": name, "spec": SPEC}
    with Watched(layer_of(people.server, Starts)) as usual:
        for token, status, ways in (
            (None, 401, 1),
            ("wrong", 401, 2),
            (viewer.token, 403, 3),
            (operator.token, 200, 3),
        ):
            async with people.client(token) as client:
                assert (await client.post("/dag-runs", json=body)).status_code == status
            assert usual.handed_on == ways
    async with people.client((await people.add("admin")).token) as client:
        entries = (await client.get("/audit")).json()["entries"]
    assert [entry["outcome"] for entry in entries if entry["action"] == "run.start"] == ["done", "refused"]


async def test_requests_of_both_ways_are_counted_as_one_route(client: httpx.AsyncClient, name: str) -> None:
    body = {"name": name, "spec": SPEC}

    async def counted() -> float:
        page = (await client.get("/metrics")).text.splitlines()
        beginning, route = "dagbook_http_requests_total{", '/dag-runs",status="200"'
        lines = [line for line in page if line.startswith(beginning) and 'method="POST"' in line and route in line]
        assert len(lines) <= 1
        return float(lines[0].rpartition(" ")[2]) if lines else 0

    before = await counted()
    await client.post("/dag-runs", json=body)
    await client.post("/dag-runs", json=body, params=USUAL)
    assert await counted() == before + 2
