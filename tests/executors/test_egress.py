"""The server's own requests do not reach what ``egress_deny`` names, however it is named."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dagbook.egress.client import EgressClient, EgressDeniedError
from dagbook.egress.rules import Egress
from dagbook.executors.contract import ExecutionFiles, Job, StepError, Streams
from dagbook.executors.http import http
from dagbook.settings import SettingsError, read
from tests.executors.web import Web, plain

DENIED = "127.0.0.2"


class Listener:
    """A port of the denied address, which counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    def connected(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    found = Listener()
    server = await asyncio.start_server(found.connected, DENIED, 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    await server.wait_closed()


def resolve_to(monkeypatch: pytest.MonkeyPatch, name: str, *answers: list[str]) -> list[str]:
    """Let a name resolve to each of these answers in turn; returns the questions."""
    asked: list[str] = []
    resolve: Callable[..., Any] = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(self: Any, host: str, port: int, **options: Any) -> list[Any]:
        if host != name:
            found: list[Any] = await resolve(self, host, port, **options)
            return found
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


async def get(url: str, *deny: str, **options: Any) -> httpx.Response:
    async with EgressClient(Egress(deny), **{"trust_env": False, **options}) as client:
        return await client.get(url)


@asynccontextmanager
async def denied(because: str) -> AsyncIterator[None]:
    with pytest.raises(EgressDeniedError, match=because):
        yield


# -- what is denied --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.254.169.254.",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "fd00:0ec2:0::0254%eth0",
        "metadata.google.internal",
        "METADATA.google.internal.",
    ],
)
def test_metadata_addresses_are_denied_by_default_in_every_spelling(host: str, tmp_path: Path) -> None:
    egress = Egress(read({}, {}, tmp_path).egress_deny)
    assert "egress_deny" in egress.refusal_of_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "169.254.169.253", "example.org", "internal", "a.b", "", "1.2.3"])
def test_nothing_else_is_denied_by_default(host: str, tmp_path: Path) -> None:
    assert Egress(read({}, {}, tmp_path).egress_deny).refusal_of_host(host) == ""


def test_networks_and_names_are_added_to_the_default_or_replace_it(tmp_path: Path) -> None:
    def deny(text: str) -> tuple[str, ...]:
        return read({"egress_deny": text}, {}, tmp_path).egress_deny

    added = Egress(deny("metadata, 10.0.0.0/8, fc00::/7, Vault.example"))
    for host in ("169.254.169.254", "10.1.2.3", "fd12::1", "vault.example", "VAULT.example."):
        assert added.refusal_of_host(host)
    assert not added.refusal_of_host("sub.vault.example")
    assert Egress(deny("10.0.0.0/8")).refusal_of_host("169.254.169.254") == ""
    (tmp_path / "dagbook.yaml").write_text("egress_deny: []")
    assert read({}, {}, tmp_path).egress_deny == ()


@pytest.mark.parametrize("item", ["10.0.0.1/8", "300.1.1.1", "http://x", "*.example.org", "a b", "10.0.0.0/33"])
def test_what_is_no_destination_is_refused_with_its_setting(item: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^egress_deny"):
        read({"egress_deny": item}, {}, tmp_path)


# -- connections -----------------------------------------------------------------------------------------------------


async def test_a_denied_address_is_not_connected_to(listener: Listener) -> None:
    for host in (DENIED, "127.2", "0x7f000002", "[::ffff:127.0.0.2]"):
        async with denied(f"egress_deny.*{DENIED}|egress_deny"):
            await get(f"http://{host}:{listener.port}/", DENIED)
    assert listener.connections == 0


async def test_a_name_is_denied_by_the_address_that_it_resolves_to(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "innocent.example", ["127.0.0.1", DENIED])
    async with denied("innocent.example .*egress_deny, because of 127.0.0.2/31"):
        await get(f"http://innocent.example:{listener.port}/", "127.0.0.2/31")
    assert listener.connections == 0


async def test_a_name_that_resolves_to_something_else_the_next_time_does_not_get_around_it(
    web: Web, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve_to(monkeypatch, "rebinding.example", ["127.0.0.1"], [DENIED])
    web.answers["/"] = plain(200, "allowed")
    url = web.url.replace("127.0.0.1", "rebinding.example")
    assert (await get(url, DENIED)).text == "allowed"
    assert len(asked) == 1  # what is connected to is what was checked
    async with denied("rebinding.example"):
        await get(f"http://rebinding.example:{listener.port}/", DENIED)
    assert listener.connections == 0


async def test_a_redirect_does_not_get_around_it(web: Web, listener: Listener) -> None:
    web.answers["/"] = plain(302, "", f"Location: http://{DENIED}:{listener.port}/secret")
    async with denied(DENIED):
        await get(web.url, DENIED, follow_redirects=True)
    assert listener.connections == 0


async def test_a_proxy_is_not_asked_for_a_denied_host(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", web.url)
    web.answers["http://example.invalid/"] = plain(200, "through the proxy")
    deny = (DENIED, "secret.invalid", "127.0.0.1")  # the proxy itself is not a destination
    assert (await get("http://example.invalid/", *deny, trust_env=True)).text == "through the proxy"
    for host in (DENIED, "127.2", "Secret.invalid"):
        async with denied("egress_deny"):
            await get(f"http://{host}/", *deny, trust_env=True)
    assert len(web.asked) == 1


async def test_the_next_address_of_a_name_is_tried(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "several.example", ["127.0.0.9", "127.0.0.8", "127.0.0.1"])
    web.answers["/"] = plain(200, "the last one")
    assert (await get(web.url.replace("127.0.0.1", "several.example"))).text == "the last one"


async def test_an_address_that_does_not_answer_does_not_delay_the_next_one(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(web.url.rpartition(":")[2])
    with socket.socket() as full:  # its queue of connections is full, so the kernel answers nothing
        full.bind((DENIED, port))
        full.listen(0)
        with socket.create_connection((DENIED, port)), _pending(DENIED, port):
            resolve_to(monkeypatch, "several.example", [DENIED, "127.0.0.1"])
            web.answers["/"] = plain(200, "the second one")
            async with asyncio.timeout(10):
                answer = await get(web.url.replace("127.0.0.1", "several.example"), timeout=9)
    assert answer.text == "the second one"


def _pending(host: str, port: int) -> socket.socket:
    """Begin a connection that is not answered."""
    opened = socket.socket()
    opened.setblocking(False)
    opened.connect_ex((host, port))
    return opened


async def test_a_connection_that_takes_too_long_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", never)
    with pytest.raises(httpx.ConnectTimeout):
        await get("http://slow.example/", timeout=0.05)


# -- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirected", [False, True])
async def test_an_http_step_fails_with_the_name_of_the_setting(
    web: Web, listener: Listener, files: ExecutionFiles, redirected: bool
) -> None:
    target = f"http://{DENIED}:{listener.port}/"
    web.answers["/"] = plain(302, "", f"Location: {target}")
    egress = Egress((DENIED,))
    args = (web.url if redirected else target,)
    job = Job(type="http", id="1", program="GET", args=args, cwd=Path("/"), egress=egress)
    streams = Streams(files)
    with pytest.raises(StepError, match=rf"^http: .*may not send requests to {DENIED} \(setting egress_deny\)$"):
        await http.run(job, streams)
    streams.close()
    assert listener.connections == 0
