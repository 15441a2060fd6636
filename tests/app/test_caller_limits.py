"""One caller's live feeds and searches leave room for those of others (S15)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from dagbook.api import limits
from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Role
from dagbook.db.database import WriteConnection
from dagbook.db.models import LogChunk
from dagbook.main import Server
from dagbook.spec.reading.definition_cache import QUICK
from tests.app.dagbook import Dagbook, client_of, serving
from tests.app.listening import Door
from tests.app.loopback import listening
from tests.app.people import serving_people
from tests.db.rows import NOW, add
from tests.waiting import wait_until

GREEDY, OTHER = "127.0.0.66", "127.0.0.2"


@asynccontextmanager
async def client_at(address: str, api: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that listens, with an address of its own."""
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=None))
    async with httpx.AsyncClient(transport=transport, base_url=api, timeout=45) as client:
        yield client


async def test_an_address_has_32_live_feeds_and_others_have_theirs(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as server, listening(server) as api, AsyncExitStack() as stack:
        greedy = await stack.enter_async_context(client_at(GREEDY, api))
        other = await stack.enter_async_context(client_at(OTHER, api))
        async with AsyncExitStack() as feeds:
            for _ in range(32):
                await feeds.enter_async_context(Door(greedy).listen())
            refused = await greedy.get("/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
            assert "32 live feeds" in refused.json()["message"]
            async with Door(other).listen():
                assert server.services.system.feed.clients == 33

        async def all_ended() -> bool:
            return server.services.system.feed.clients == 0

        await wait_until(all_ended)
        async with Door(greedy).listen():
            pass


async def test_a_feed_that_is_refused_does_not_count(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, event_streams="0") as server, client_of(server) as client:
        answers = [await client.get("/events") for _ in range(40)]
    assert {answer.status_code for answer in answers} == {503}


async def test_a_user_has_one_limit_from_all_addresses(database_url: str, tmp_path: Path) -> None:
    async with serving_people(database_url, tmp_path, event_streams_per_caller="1") as people:
        ann, bob = await people.add(Role.VIEWER), await people.add(Role.VIEWER)
        async with listening(people.server) as api, client_at(GREEDY, api) as first, client_at(OTHER, api) as second:
            mine, yours = ({"Authorization": f"Bearer {person.token}"} for person in (ann, bob))
            async with Door(first).listen(headers=mine):
                assert (await second.get("/events", headers=mine)).status_code == 429
                async with Door(first).listen(headers=yours):
                    pass


# -- searches --------------------------------------------------------------------------------------------------------

PATHS = ("/dag-runs/{name}/{run}/log/search?q=a", "/dag-runs/{name}/{run}/log/search?q=a.*b&regex=true")
CALLER = Caller(via="none", address="127.0.0.1")


@pytest.fixture
async def server(database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(database_url, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    "path", [*PATHS, "/dags/search?q=a", "/dags/search?q=a.*b", "/search?q=a", "/search/texts?q=ab"]
)
async def test_a_third_search_at_a_time_waits_and_is_then_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, path: str, name: str
) -> None:
    monkeypatch.setattr(limits, "_SEARCH_WAITS", 0.01)
    async with client_of(server) as client:
        dagbook = Dagbook(client, name)
        path = path.format(name=name, run=(await dagbook.run("steps: [{command: echo ab}]")).details["dagRunId"])
        limit = server.services.runs.limits.searches
        with ExitStack() as held:
            held.enter_context(limit.use(CALLER))
            assert (await client.get(path)).status_code == 200
            held.enter_context(limit.use(CALLER))
            refused = await client.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert "2 searches at a time" in refused.json()["message"]
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", [PATHS[0], "/dags/search?q=a"])
async def test_a_search_that_waits_is_served_when_another_one_ends(server: Server, path: str, name: str) -> None:
    async with client_of(server) as client:
        dagbook = Dagbook(client, name)
        path = path.format(name=name, run=(await dagbook.run("steps: [{command: echo ab}]")).details["dagRunId"])
        limit = server.services.runs.limits.searches

        async def is_waiting() -> bool:
            return bool(limit._waiting)

        with limit.use(CALLER):
            with limit.use(CALLER):
                search = asyncio.create_task(client.get(path))
                await wait_until(is_waiting)
            assert (await search).status_code == 200


async def test_a_search_of_a_client_that_leaves_waits_no_longer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_SEARCH_WAITS", 3600.0)
    limit = server.services.runs.limits.searches

    async def waits(expected: bool) -> bool:
        return bool(limit._waiting) is expected

    async with listening(server) as api, client_at(OTHER, api) as client:
        caller = Caller(via="none", address=OTHER)
        with limit.use(caller), limit.use(caller):
            search = asyncio.create_task(client.get("/dags/search?q=a"))
            await wait_until(lambda: waits(True))
            search.cancel()
            await wait_until(lambda: waits(False))


async def test_eight_searches_of_all_callers_are_the_most(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_SEARCH_WAITS", 0.01)
    async with client_of(server) as client:
        with ExitStack() as held:
            for number in range(8):
                caller = Caller(via="none", address=f"192.0.2.{number // 2}")
                held.enter_context(server.services.runs.limits.searches.use(caller))
            refused = await client.get("/dags/search?q=a")
        assert refused.status_code == 429
        assert "this server has 8 searches" in refused.json()["message"]


async def test_two_long_texts_of_a_caller_are_read_at_a_time(server: Server) -> None:
    caller, other = Caller(via="none", address="127.0.0.1"), Caller(via="none", address="192.0.2.1")
    long, short = f"# {'x' * QUICK}\nsteps: [a]\n", "steps: [a]\n"
    requests = [
        ("POST", "/dags/validate", {}),
        ("POST", "/dags", {"name": "shared"}),
        ("PUT", "/dags/stored/spec", {}),
        ("POST", "/dag-runs", {"name": "shared"}),
        ("POST", "/dag-runs/enqueue", {"name": "shared"}),
    ]
    limit = server.services.runs.limits.texts
    async with client_of(server) as client:
        assert (await client.post("/dags", json={"name": "stored", "spec": short})).status_code == 201
        with limit.use(caller), limit.use(caller), limit.use(other):
            for method, path, body in requests:
                refused = await client.request(method, path, json={**body, "spec": long})
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
            assert (await client.post("/dags/validate", json={"spec": short})).status_code == 200
        assert (await client.post("/dags/validate", json={"spec": long})).status_code == 200


def _fill(connection: WriteConnection, run_id: str) -> None:
    """Give a run some 30 MB of output."""
    key = connection.exec_driver_sql(f"SELECT id FROM runs WHERE run_id = '{run_id}'").scalar_one()  # noqa: S608
    line = "a" * 999 + "\n"
    for seq in range(1, 480):
        values = {"execution": 1, "received_at": NOW, "line_count": 64, "byte_count": 64_000, "text": line * 64}
        place = {"ordinal": seq, "first_line": 64 * seq - 62, "byte_offset": 64_000 * seq - 63_997}
        add(connection, LogChunk, run_id=key, attempt=1, position=0, stream=1, seq=seq, **place, **values)


async def test_a_search_is_answered_within_five_seconds_while_another_caller_searches_all_the_time(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(limits, "_SEARCH_WAITS", 0.05)
    async with client_of(server) as client:
        dagbook = Dagbook(client, name)
        run_id, other_id = [
            str((await dagbook.run("steps: [{command: echo ab}]")).details["dagRunId"]) for _ in range(2)
        ]
    await server.services.runs.database.write(lambda connection: _fill(connection, run_id))
    statuses: list[int] = []
    path = f"/dag-runs/{name}/{run_id}/log/search?q=a.*b$&regex=true"
    async with listening(server) as api, client_at(GREEDY, api) as greedy, client_at(OTHER, api) as other:

        async def search_on() -> None:
            while True:
                statuses.append((await greedy.get(path)).status_code)
                await asyncio.sleep(0.05 if statuses[-1] == 429 else 0)

        searches = [asyncio.create_task(search_on()) for _ in range(8)]

        async def is_refused() -> bool:
            return 429 in statuses

        await wait_until(is_refused)
        taken = []
        for query in ("q=ab", "q=a.b?&regex=true&limit=1"):
            for searched in ("/dags/search", f"/dag-runs/{name}/{other_id}/log/search"):
                begun = monotonic()
                assert (await other.get(f"{searched}?{query}")).status_code == 200
                taken.append(monotonic() - begun)
        for search in searches:
            search.cancel()
        await asyncio.gather(*searches, return_exceptions=True)
    assert max(taken) < 5
    assert set(statuses) <= {200, 400, 429}
