"""The short way of the request that is asked again and again: it answers as the usual one, and only what is usual."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api import polls
from app.api.polls import Polls
from tests.app.dagbook import USUAL, Based, Dagbook, Watched, client_of, headers_told, layer_of, serving
from tests.app.people import People

WAITS = "steps:\n  - {name: a, command: 'echo ready; sleep 600'}\n"


@pytest.fixture
def usual(based: Based) -> Iterator[Watched]:
    """Count the requests that go the usual way."""
    with Watched(layer_of(based.server, Polls)) as watched:
        yield watched


@pytest.fixture
def dagbook(based: Based, name: str) -> Dagbook:
    return Dagbook(based.client, name)


def told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """Return all of an answer but its number."""
    return answer.status_code, headers_told(answer), answer.content


async def compare(dagbook: Dagbook, usual: Watched, path: str) -> httpx.Response:
    before = usual.handed_on
    short = await dagbook.client.get(path)
    assert usual.handed_on == before
    assert told(short) == told(await dagbook.client.get(path, params=USUAL))
    assert usual.handed_on == before + 1
    return short


async def test_a_run_is_told_on_both_ways_alike(dagbook: Dagbook, usual: Watched) -> None:
    run_id = await dagbook.start(WAITS)
    await dagbook.running(run_id, "a", "ready")
    path = f"/dag-runs/{dagbook.name}/{run_id}"
    assert (await compare(dagbook, usual, path)).json()["dagRunDetails"]["statusLabel"] == "running"
    await dagbook.stop(run_id)
    assert (await compare(dagbook, usual, path)).json()["dagRunDetails"]["statusLabel"] == "aborted"
    await compare(dagbook, usual, f"/dag-runs/{dagbook.name}/latest")


@pytest.mark.parametrize(
    "path", ["nobody/latest", "{name}/nothing", "{name}/ä", "{name}/a%20b", "{name}/a%2Fb", "{name}/a/b"]
)
async def test_what_is_not_there_is_refused_on_the_usual_way(dagbook: Dagbook, usual: Watched, path: str) -> None:
    answer = await dagbook.client.get(f"/dag-runs/{path.format(name=dagbook.name)}")
    assert answer.status_code in (400, 404)
    assert answer.json()["code"]
    assert usual.handed_on == 1


async def test_other_methods_go_the_usual_way(dagbook: Dagbook, usual: Watched) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'true'}]\n")
    before = usual.handed_on
    for method, status in (("HEAD", 405), ("DELETE", 405), ("OPTIONS", 204)):
        assert (await dagbook.client.request(method, ended.path)).status_code == status
    assert usual.handed_on == before + 3


async def test_a_page_of_another_site_goes_the_usual_way(database_url: str, tmp_path: Path, name: str) -> None:
    site = "https://site.example"
    async with serving(database_url, tmp_path / "home", cors_origins=site) as server, client_of(server) as client:
        ended = await Dagbook(client, name).run("steps: [{name: a, command: 'true'}]\n")
        with Watched(layer_of(server, Polls)) as usual:
            answer = await client.get(ended.path, headers={"Origin": site})
        assert answer.headers["access-control-allow-origin"] == site
        assert usual.handed_on == 1


async def test_requests_of_both_ways_are_counted_as_one_route(dagbook: Dagbook) -> None:
    ended = await dagbook.run("steps: [{name: a, command: 'true'}]\n")

    async def counted() -> float:
        page = (await dagbook.client.get("/metrics")).text.splitlines()
        wanted = 'dag-runs/{name}/{dagRunId}",status="200"'
        (line,) = [one for one in page if one.startswith("dagbook_http_requests_total") and wanted in one]
        return float(line.rpartition(" ")[2])

    before = await counted()
    await dagbook.client.get(ended.path)
    await dagbook.client.get(ended.path, params=USUAL)
    assert await counted() == before + 2


async def test_nobody_sees_a_run_without_credentials(people: People, name: str) -> None:
    admin = await people.add("admin")
    viewer = await people.add("viewer")
    async with people.client(admin.token) as client:
        ended = await Dagbook(client, name).run("steps: [{name: a, command: 'true'}]\n")
    with Watched(layer_of(people.server, Polls)) as usual:
        for token, status, ways in ((None, 401, 1), ("wrong", 401, 2), (viewer.token, 200, 2)):
            async with people.client(token) as client:
                assert (await client.get(ended.path)).status_code == status
            assert usual.handed_on == ways


async def test_what_goes_wrong_is_told_on_the_usual_way(
    dagbook: Dagbook, usual: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("of its own making")

    ended = await dagbook.run("steps: [{name: a, command: 'true'}]\n")
    before = usual.handed_on
    monkeypatch.setattr(polls, "read_details", fail)
    assert (await dagbook.client.get(ended.path)).json()["dagRunDetails"]["statusLabel"] == "succeeded"
    assert usual.handed_on == before + 1
