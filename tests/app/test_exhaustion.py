"""Strangers who open connections, send slowly or send much: each limit of the HTTP server, and what is left for others.

The figures of promises S15 are measured against a real server; the single limits with short times.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import uvicorn

from dagbook.server.connections import ConnectionTable, HttpLimits, LimitedProtocol
from dagbook.server.http_server import HttpServer
from dagbook.server.scope import ADMITTED
from dagbook.web import files
from tests.app.people import PASSWORD, People, code_of
from tests.app.program import CommandLine
from tests.certificates import make_certificate
from tests.waiting import PATIENCE_SECONDS, wait_until

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = HEAD + b"Content-Length: 9\r\n\r\n1"
EARLY = b"POST /early HTTP/1.1\r\nContent-Length: 9\r\n\r\n1"
LARGE = 1 << 25  # more than the kernel takes from a server whose client reads nothing


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Respond with the size of the body; to ``/early`` without reading it, to ``/never`` not at all.

    ``/known`` is for callers who may send it.
    """
    size, more = 0, scope["path"] != "/early"
    scope[ADMITTED] = scope["path"] == "/known"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    if scope["path"] == "/never":
        await receive()  # until the client has left
        return
    body = b"x" * LARGE if scope["path"] == "/large" else str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Port:
    """A server with limits, and connections to it."""

    def __init__(self, number: int, table: ConnectionTable, stack: AsyncExitStack) -> None:
        self.number = number
        self.table = table
        self._stack = stack

    async def connect(self, *sent: bytes) -> tuple[Reader, Writer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        self._stack.callback(writer.close)
        for data in sent:
            writer.write(data)
        return reader, writer

    async def ask(self, *sent: bytes) -> bytes:
        """Return all that comes until the server closes the connection."""
        reader, _ = await self.connect(*sent)
        return await until_closed(reader)


async def until_closed(reader: Reader) -> bytes:
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def read_some(reader: Reader) -> None:
    """Take what has come, so that an end can be seen."""
    try:
        async with asyncio.timeout(0.001):
            await reader.read(1000)
    except (TimeoutError, ConnectionError):
        if reader.exception() is not None:
            reader.feed_eof()


async def is_opened(port: Port, state: Callable[[LimitedProtocol], bool], many: int = 1) -> bool:
    """Whether so many connections are open, and in a state."""
    return len(port.table) == many and all(state(one) for one in port.table)


async def count_of(port: Port, state: Callable[[LimitedProtocol], bool], many: int) -> bool:
    return sum(state(one) for one in port.table) == many


@asynccontextmanager
async def limited(tls: ssl.SSLContext | None = None, **changed: Any) -> AsyncIterator[Port]:
    usual = {"connections": 100, "per_address": 100, "sweep_seconds": 0.02, "linger_seconds": 0.05}
    table = ConnectionTable(HttpLimits(**{**usual, **changed}))
    config = uvicorn.Config(echo, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        web = HttpServer(config, table, tls, None)
        serving = asyncio.create_task(web.serve(sockets=[listener]))
        number = listener.getsockname()[1]
        try:
            async with AsyncExitStack() as stack:
                yield Port(number, table, stack)
        finally:
            web.should_exit = True
            await serving


async def test_headers_over_64_kibibytes_are_refused_with_431_and_just_below_they_are_read() -> None:
    line = b"X: " + b"a" * 1000 + b"\r\n"
    async with limited() as port:
        for many, end_of_head in ((66, b"\r\n"), (66, b""), (400, b"")):
            answer = await port.ask(HEAD + line * many + end_of_head)
            assert answer.startswith(b"HTTP/1.1 431 "), answer[:100]
        assert (await port.ask(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 431 ")
        below = HEAD + b"Connection: close\r\nContent-Length: 100000\r\n" + line * 60 + b"\r\n" + b"b" * 100_000
        assert (await port.ask(below)).endswith(b"\r\n100000")


@pytest.mark.parametrize("start", [b"0\r\nX: ", b"5;"], ids=["trailer", "extension"])
async def test_what_is_around_the_chunks_of_a_body_is_bounded_too(start: bytes) -> None:
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with limited() as port:
        assert not (await port.ask(chunked + start + b"a" * 1_000_000)).startswith(b"HTTP/1.1 200 ")
        reader, _ = await port.connect(chunked + b"0\r\nX: " + b"a" * 1000 + b"\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n5")).startswith(b"HTTP/1.1 200 ")


def has_nothing(one: LimitedProtocol) -> bool:
    return one.transport is not None and one.usefulness()[0] == 0 and not one.unfinished_bytes


def has_part_of_a_head(one: LimitedProtocol) -> bool:
    return one.unfinished_bytes > 0


def has_served(one: LimitedProtocol) -> bool:
    return one.usefulness()[0] == 1


def is_sending(one: LimitedProtocol) -> bool:
    return one.transport is not None and one.transport.get_write_buffer_size() > 0


def has_part_of_a_body(one: LimitedProtocol) -> bool:
    return one.usefulness()[0] == 2 and not one.is_working()


def has_nothing_unread(one: LimitedProtocol) -> bool:
    return not one.unfinished_bytes and not one.flow.read_paused


@pytest.mark.parametrize(
    ("sent", "state", "early", "late", "status"),
    [
        pytest.param(b"", has_nothing, 9, 11, b"", id="silent"),
        pytest.param(HEAD, has_part_of_a_head, 9, 11, b"408", id="half a head"),
        pytest.param(GET + HEAD, has_served, 9, 11, b"200", id="half a second head"),
        pytest.param(EARLY, has_served, 9, 11, b"200", id="half a body that has its response"),
        pytest.param(GET, has_served, 73, 75, b"200", id="idle"),
        pytest.param(HALF, has_part_of_a_body, 59, 61, b"408", id="half a body"),
    ],
)
async def test_a_client_that_takes_too_long_is_told_and_its_connection_closed(
    sent: bytes, state: Callable[[LimitedProtocol], bool], early: float, late: float, status: bytes
) -> None:
    """The sweep is told of a time to come, so that no test waits for it."""
    async with limited(sweep_seconds=1000) as port:
        before = asyncio.get_running_loop().time()
        reader, _ = await port.connect(sent)
        await wait_until(lambda: is_opened(port, state))
        port.table.sweep(before + early, 1)
        assert len(port.table) == 1
        for later in (late, late + 5):  # a client that is told has a moment to read it
            port.table.sweep(asyncio.get_running_loop().time() + later, 1)
            for _ in range(3):  # rounds of the loop, in which the response is sent
                await asyncio.sleep(0)
        assert (await until_closed(reader))[9:12] == status


async def test_a_body_has_90_seconds_for_each_64_kibibytes_but_the_time_that_it_waits_for_the_server() -> None:
    head = HEAD + b"Connection: close\r\nContent-Length: 200000\r\n\r\n"
    async with limited(sweep_seconds=1000, body_silence_seconds=1000) as port:
        before = asyncio.get_running_loop().time()
        slow, _ = await port.connect(head + b"b" * 1000)
        await wait_until(lambda: is_opened(port, has_part_of_a_body))
        steady, writer = await port.connect(head + b"b" * 140_000)
        await wait_until(lambda: is_opened(port, has_part_of_a_body, 2))
        port.table.sweep(before + 89, 0)
        assert len(port.table) == 2
        port.table.sweep(asyncio.get_running_loop().time() + 91, 0)
        assert (await until_closed(slow)).startswith(b"HTTP/1.1 408 ")
        port.table.sweep(before + 250, 0)  # it has three periods
        writer.write(b"b" * 60_000)
        assert (await until_closed(steady)).endswith(b"\r\n200000")


async def test_a_client_that_does_not_read_its_response_loses_its_connection() -> None:
    async with limited(sweep_seconds=1000) as port:
        reader, writer = await port.connect(b"GET /large HTTP/1.1\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wait_until(lambda: is_opened(port, is_sending))
        now = asyncio.get_running_loop().time()
        port.table.sweep(now, 1)
        port.table.sweep(now + 59, 1)
        assert len(port.table) == 1
        port.table.sweep(now + 61, 1)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await until_closed(reader)) < LARGE


async def test_line_ends_between_requests_and_steady_bytes_of_a_head_keep_no_connection_open() -> None:
    async with limited(idle_seconds=0.1, head_seconds=0.1) as port:
        for first, drop in ((GET, b"\r\n"), (HEAD + b"X: ", b"a")):
            reader, writer = await port.connect(first)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not reader.at_eof():
                    writer.write(drop)
                    await asyncio.sleep(0.01)
                    await read_some(reader)


async def test_a_request_that_the_server_works_on_has_all_the_time_and_is_never_closed_for_another() -> None:
    async with limited(connections=2, sweep_seconds=1000) as port:
        busy = [await port.connect(b"GET /never HTTP/1.1\r\n\r\n") for _ in range(2)]
        await wait_until(lambda: is_opened(port, LimitedProtocol.is_working, 2))
        port.table.sweep(asyncio.get_running_loop().time() + 10_000, 1)
        assert (await port.ask(GET)).startswith(b"HTTP/1.1 503 ")
        assert len(port.table) == 2
        assert not any(reader.at_eof() for reader, _ in busy)


async def test_a_new_connection_takes_the_place_of_the_one_that_does_least() -> None:
    async with limited(connections=4) as port:
        silent, _ = await port.connect()
        await wait_until(lambda: is_opened(port, has_nothing))
        served, writer = await port.connect(GET)
        await served.readuntil(b"\r\n\r\n0")
        sending, _ = await port.connect(HALF)
        never, _ = await port.connect(b"GET /never HTTP/1.1\r\n\r\n")
        await wait_until(lambda: is_opened(port, bool, 4))
        await wait_until(lambda: count_of(port, LimitedProtocol.is_working, 1))
        await wait_until(lambda: count_of(port, has_part_of_a_body, 1))
        for number, leaving in enumerate((silent, served, sending), 2):
            reader, writer = await port.connect(b"GET /never HTTP/1.1\r\n\r\n")
            await wait_until(partial(count_of, port, LimitedProtocol.is_working, number))
            assert b"200" not in await until_closed(leaving)
        assert not never.at_eof()
        assert not reader.at_eof()
        assert not writer.is_closing()


async def test_connections_without_a_tls_handshake_make_room_and_are_closed(tmp_path: Path) -> None:
    context, certificate = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with limited(context, connections=2) as port:
        silent = [await port.connect() for _ in range(4)]
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"https://127.0.0.1:{port.number}/")).text == "0"
        for reader, _ in silent[:3]:
            assert await until_closed(reader) == b""
    async with limited(context, head_seconds=0.05) as port:
        assert await port.ask() == b""


async def test_requests_in_a_row_without_reading_are_bounded() -> None:
    async with limited(pipelined=4) as port:
        answer = await port.ask(b"GET /never HTTP/1.1\r\n\r\n" * 20)
        assert answer == b""


async def test_many_unfinished_heads_are_bounded_together() -> None:
    async with limited(unfinished_bytes=100_000) as port:
        readers = [(await port.connect(HEAD + b"X: " + b"a" * 40_000))[0] for _ in range(5)]
        await wait_until(lambda: is_opened(port, has_part_of_a_head, 2))
        assert (await port.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).endswith(b"\r\n0")
        assert sum(reader.at_eof() or reader.exception() is not None for reader in readers) >= 3


async def test_unfinished_bodies_of_callers_who_are_not_admitted_are_bounded_together() -> None:
    async with limited(unfinished_bytes=100_000) as port:
        head = b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n"
        known = [await port.connect(b"POST /known" + head + b"a") for _ in range(5)]
        await wait_until(lambda: is_opened(port, has_part_of_a_body, 5))
        for _, writer in known:
            writer.write(b"a" * 40_000)
            await wait_until(lambda: is_opened(port, has_nothing_unread, 5))
        strangers = [(await port.connect(b"POST /" + head + b"a" * 40_000))[0] for _ in range(5)]
        await wait_until(lambda: is_opened(port, has_part_of_a_body, 7))
        assert sum(reader.at_eof() or reader.exception() is not None for reader in strangers) >= 3
        for reader, writer in known:
            writer.write(b"a" * 9_999)
            assert await reader.readuntil(b"\r\n\r\n50000")


async def test_the_next_piece_of_a_body_is_read_when_the_application_asks_for_it() -> None:
    async with limited() as port:
        _, writer = await port.connect(b"POST /never HTTP/1.1\r\nContent-Length: 1\r\n\r\n1")
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n" + b"a" * 4_000_000)
        await wait_until(lambda: is_opened(port, lambda one: one.flow is not None and one.flow.read_paused))
        (one,) = port.table
        assert len(one.cycle.body) <= 2 * port.table.limits.piece_bytes


def test_connections_are_counted_by_address_but_for_loopback_and_proxies() -> None:
    table = ConnectionTable(HttpLimits(connections=9, per_address=1), [ip_network("10.0.0.0/8")])
    groups = {
        "127.0.0.1": "",
        "::1": "",
        "::ffff:127.0.0.1": "",
        "10.1.2.3": "",
        "": "",
        "192.0.2.1": "192.0.2.1",
        "::ffff:192.0.2.1": "192.0.2.1",
        "2001:db8::1": "2001:db8::/64",
        "2001:db8::ffff:1": "2001:db8::/64",
        "fe80::1%eth0": "fe80::/64",
    }
    assert {address: table.group(address) for address in groups} == groups


class Descriptors(CommandLine):
    """Processes with limits of open files, given as commands of the shell."""

    def __init__(self, home: Path, limits: str) -> None:
        super().__init__(home)
        self._limits = limits

    async def begin(self, *arguments: str | Path) -> Process:
        command = ("sh", "-c", f'{self._limits}; exec "$@"', "sh", sys.executable, "-m", "dagbook")
        return await asyncio.create_subprocess_exec(
            *command, *map(str, arguments), env=self._env, cwd=self.home, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )


async def test_400_silent_connections_leave_256_descriptors_enough_for_starts_and_new_connections(
    tmp_path: Path,
) -> None:
    async with Descriptors(tmp_path, "ulimit -n 256").server() as address, AsyncExitStack() as stack:
        url = httpx.URL(address)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        stack.callback(writer.close)
        # It has served a request: those that did nothing are closed before it.
        writer.write(b"GET /api/v2/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        for _ in range(400):
            await stranger(stack, url, b"")
        run = {"name": "quick", "spec": "steps:\n  - command: 'true'\n", "dagRunId": "one"}
        body = json.dumps(run).encode()
        head = b"POST /api/v2/dag-runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert b"HTTP/1.1 200 OK" in await reader.readuntil(b'"dagRunId":"one"}')
        async with httpx.AsyncClient(base_url=f"{address}/api/v2", timeout=5) as late:
            assert (await ended(late, "/dag-runs/quick/one"))["statusLabel"] == "succeeded"


async def test_the_server_takes_all_descriptors_that_it_may_and_its_steps_have_those_of_its_start(
    tmp_path: Path,
) -> None:
    line = Descriptors(tmp_path, "ulimit -S -n 300; ulimit -H -n 700")
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        spec = "steps:\n  - name: s\n    command: sh -c 'ulimit -S -n; ulimit -H -n'\n"
        run = {"name": "limits", "spec": spec, "dagRunId": "one"}
        assert (await client.post("/dag-runs", json=run)).status_code == 200
        assert (await ended(client, "/dag-runs/limits/one"))["statusLabel"] == "succeeded"
        seen = (await client.get("/dag-runs/limits/one/steps/s/log")).json()["content"]
        limits = Path(f"/proc/{server_pid(tmp_path)}/limits").read_text(encoding="utf-8")
    assert seen.split() == ["300", "700"]
    assert re.search(r"Max open files +700 +700 ", limits)


def server_pid(home: Path) -> int:
    return int(json.loads((home / "dagbook.sqlite3.lock").read_text(encoding="utf-8"))["pid"])


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        details: dict[str, Any] = (await client.get(path)).json()["dagRunDetails"]
        return details if details["statusLabel"] not in ("running", "queued", "not_started") else None

    return await wait_until(look)


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]  # each process has it


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]  # each process has it


def signed_body(size: int) -> bytes:
    """Return a request of a webhook, of a source that does not exist."""
    head = b"POST /api/v2/sources/none/fetch HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature-256: sha256=%s\r\n"
    return head % (b"0" * 64) + b"Content-Length: %d\r\n\r\n" % size + b"a" * size


@pytest.mark.parametrize("mode", ["none", "builtin"])
async def test_bodies_of_webhooks_that_hang_at_their_last_byte_take_less_than_25_mebibytes(
    tmp_path: Path, mode: str
) -> None:
    sent = signed_body(1 << 20)
    async with (
        CommandLine(tmp_path, auth_mode=mode, auth_token_secret="s" * 40).server() as address,
        AsyncExitStack() as stack,
    ):
        pid, url = server_pid(tmp_path), httpx.URL(address)
        before = peak_bytes(pid)

        async def hang() -> tuple[Reader, Writer]:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            stack.callback(writer.close)
            writer.write(sent[:-1])
            await writer.drain()
            return reader, writer

        for reader, writer in await asyncio.gather(*(hang() for _ in range(128))):
            writer.write(sent[-1:])
            # The first ones are wrong, the others guess too often.
            assert (await reader.readline()).startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 429 "))
        assert peak_bytes(pid) - before < 25 << 20


async def test_files_that_nobody_reads_take_less_than_25_mebibytes(tmp_path: Path) -> None:
    file = files.read("vendor/editor.js").content
    request = b"GET /assets/%s/vendor/editor.js HTTP/1.1\r\nHost: localhost\r\n\r\n" % files.version().encode()
    async with CommandLine(tmp_path).server() as address, AsyncExitStack() as stack:
        pid, url = server_pid(tmp_path), httpx.URL(address)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        stack.callback(writer.close)
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n" + file)
        before = resident_bytes(pid)
        strangers = [(await asyncio.open_connection(url.host, url.port))[1] for _ in range(200)]
        for one in strangers:
            stack.callback(one.close)
            one.write(request * 16)

        async def have_stopped_reading() -> bool:
            return not any(one.transport.is_reading() for one in strangers)  # type: ignore[attr-defined]

        await wait_until(have_stopped_reading)
        for _ in range(20):  # rounds in which the server goes on with theirs, until no buffer takes more
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n" + file)
        assert resident_bytes(pid) - before < 25 << 20


ATTACKS = {
    "silent connections": [b""] * 1000,
    "endless heads": [HEAD + b"X: " + b"a" * 60_000] * 600,
    "heads that are too large": [HEAD + b"X: " + b"a" * 400_000] * 200,
    "slow bodies": [b"POST /api/v2/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n{"] * 600,
    "bodies of a quarter of a mebibyte": [
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 250000\r\n\r\n" % path + b"a" * 250_000
        for path in (b"/api/v2/dag-runs", b"/api/v2/auth/login")
    ]
    * 150,
    "names of a mebibyte": [
        b"POST /api/v2/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b'Content-Length: 1048612\r\n\r\n{"username": "' + b"a" * (1 << 20) + b'", "password": "x"}   '
    ]
    * 50,
    "signed bodies without their last byte": [signed_body(1 << 20)[:-1]] * 128,
    "many requests in a row": [b"GET /api/v2/dags HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000] * 20,
}


@pytest.mark.full
async def test_strangers_take_less_than_64_mebibytes_and_starts_of_others_succeed(tmp_path: Path) -> None:
    """The figure of S15; the attacks stay open while the next ones begin."""
    secrets = {"auth_token_secret": "s" * 40, "auth_admin_password": "correct horse", "auth_bcrypt_cost": "4"}
    async with (
        CommandLine(tmp_path, auth_mode="builtin", **secrets).server() as address,
        httpx.AsyncClient(base_url=f"{address}/api/v2", timeout=PATIENCE_SECONDS) as client,
        AsyncExitStack() as stack,
    ):
        login = await client.post("/auth/login", json={"username": "admin", "password": "correct horse"})
        client.headers["Authorization"] = f"Bearer {login.json()['token']}"
        run = {"name": "first", "spec": "steps:\n  - command: 'true'\n"}
        assert (await client.post("/dag-runs", json=run)).status_code == 200
        pid, url = server_pid(tmp_path), httpx.URL(address)
        before = resident_bytes(pid)
        for attack, connections in ATTACKS.items():
            await asyncio.gather(*(stranger(stack, url, sent) for sent in connections))
            started = await client.post("/dag-runs", json={**run, "name": "other"})
            assert started.status_code == 200, attack
            path = f"/dag-runs/other/{started.json()['dagRunId']}"
            assert (await ended(client, path))["statusLabel"] == "succeeded", attack
            assert resident_bytes(pid) - before < 64 << 20, attack


async def stranger(stack: AsyncExitStack, url: httpx.URL, sent: bytes) -> None:
    """Connect and send, and stay as long as the server allows."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection(url.host, url.port)
        stack.callback(writer.close)
        writer.write(sent)
        async with asyncio.timeout(0.2):
            await writer.drain()


@pytest.mark.parametrize(
    "login",
    [
        {"username": "n" * 65, "password": "correct horse"},
        {"username": "ann", "password": "ä" * 37},
        {"username": "n" * 5000, "password": "p" * 2000},
    ],
)
async def test_a_login_that_no_user_can_have_is_refused_before_anything_keeps_it(
    people: People, caplog: pytest.LogCaptureFixture, login: dict[str, str]
) -> None:
    async with people.client() as client:
        for _ in range(10):  # twice as many as a throttled name has
            answer = await client.post("/auth/login", json=login)
            assert code_of(answer) == (401, "unauthorized")
    assert not [record for record in caplog.records if record.name == "dagbook.accounts.logins"]


async def test_a_current_password_that_no_user_can_have_is_no_guess(people: People) -> None:
    ann = await people.add("viewer")
    async with people.client(ann.token) as client:
        for _ in range(10):
            body = {"currentPassword": "p" * 73, "newPassword": "something else"}
            assert code_of(await client.post("/auth/change-password", json=body)) == (401, "unauthorized")
        body = {"currentPassword": PASSWORD, "newPassword": "something else"}
        assert (await client.post("/auth/change-password", json=body)).status_code == 200


async def test_the_bodies_that_strangers_may_send_are_small(people: People) -> None:
    async with people.client() as client:
        answer = await client.post("/auth/login", json={"username": "n", "password": "p" * 9000})
    assert code_of(answer) == (413, "bad_request")
    assert "8192 bytes" in answer.json()["message"]
