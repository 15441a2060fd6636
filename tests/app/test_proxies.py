"""What proxies say of a request, and from whom it is believed."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar.types import Receive, Scope, Send

from dagbook.api.middleware.trusted_proxies import TrustedProxiesMiddleware
from dagbook.main import API_PATH, Server
from tests.app.dagbook import serving
from tests.app.loopback import listening
from tests.app.people import code_of, serving_people

TRUSTED = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "192.0.2.1", "fd00::/8")]


async def _seen(peer: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    """Return what the application sees of a request that comes over a connection from the peer."""
    found: dict[str, Any] = {}

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        found.update(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    proxies = TrustedProxiesMiddleware(app, TRUSTED)
    transport = httpx.ASGITransport(proxies, client=(peer, 7))  # type: ignore[arg-type]  # one ASGI, two spellings
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get("http://dags.example/", headers=headers)
    return found


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1", "203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9, 10.9.9.9,192.0.2.1"], "203.0.113.9"),
        ("10.1.2.3", ["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
        ("10.1.2.3", ["203.0.113.9, unknown, 10.9.9.9"], "10.9.9.9"),
        ("10.1.2.3", ["unknown"], "10.1.2.3"),
        ("10.1.2.3", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.1.2.3", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.1.2.3", ["2001:DB8::7"], "2001:db8::7"),
        ("::ffff:10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["203.0.113.9"], "203.0.113.9"),
        ("192.0.2.2", ["203.0.113.9"], "192.0.2.2"),
        ("11.0.0.1", ["203.0.113.9"], "11.0.0.1"),
        ("testclient", ["203.0.113.9"], "testclient"),
    ],
)
async def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    peer: str, lines: list[str], client: str
) -> None:
    seen = await _seen(peer, [("X-Forwarded-For", line) for line in lines])
    assert seen["client"][0] == client


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("10.1.2.3", "https", "https"),
        ("10.1.2.3", "HTTPS", "https"),
        ("10.1.2.3", "http, https", "https"),
        ("10.1.2.3", "javascript", "http"),
        ("11.0.0.1", "https", "http"),
    ],
)
async def test_the_scheme_is_the_one_that_a_trusted_proxy_names(peer: str, proto: str, scheme: str) -> None:
    assert (await _seen(peer, [("X-Forwarded-Proto", proto)]))["scheme"] == scheme


@pytest.mark.parametrize(("peer", "host"), [("10.1.2.3", "front.example:8443"), ("11.0.0.1", "dags.example")])
async def test_the_host_is_the_one_that_a_trusted_proxy_names(peer: str, host: str) -> None:
    seen = await _seen(peer, [("X-Forwarded-Host", "back.example, front.example:8443")])
    assert [value.decode() for name, value in seen["headers"] if name == b"host"] == [host]


# -- the whole application -------------------------------------------------------------------------------------------

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "dags.example"}


@pytest.fixture(params=["127.0.0.1", "10.0.0.0/8"], ids=["trusted", "not trusted"])
async def fronted(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[bool, Server]]:
    home = tmp_path_factory.mktemp("home")
    settings = {"trusted_proxies": request.param, "allowed_hosts": "dags.example", "insecure": "true"}
    async with serving(database_url, home, **settings) as server:
        yield request.param == "127.0.0.1", server


async def test_a_proxy_has_to_be_listed_before_it_is_believed(fronted: tuple[bool, Server]) -> None:
    trusted, server = fronted
    async with listening(server) as address, httpx.AsyncClient() as client:
        answer = await client.get(f"{address}/health", headers=FORWARDED)
        assert ("strict-transport-security" in answer.headers) is trusted
        foreign = await client.get(f"{address}/health", headers={**FORWARDED, "X-Forwarded-Host": "evil.example"})
        assert foreign.status_code == (403 if trusted else 200)
        page = {**FORWARDED, "Origin": "https://dags.example"}
        changed = await client.post(f"{address}/dags", json={"name": "fronted"}, headers=page)
        assert changed.status_code == (201 if trusted else 403)


async def test_guessing_is_slowed_down_by_the_address_that_the_proxy_names(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    async with serving_people(database_url, home, trusted_proxies="127.0.0.0/8") as people, people.client() as client:

        async def guess(address: str) -> int:
            headers = {"X-Forwarded-For": f"198.51.100.77, {address}"}
            answer = await client.post("/auth/login", json={"username": "a", "password": "b"}, headers=headers)
            return code_of(answer)[0]

        assert [await guess("203.0.113.1") for _ in range(6)] == [401] * 5 + [429]
        assert await guess("203.0.113.2") == 401
        assert client.base_url.path.rstrip("/") == API_PATH
