"""The http executor: sends one request and writes the response to the step's output (DAG format 4.6).

A body is written while it arrives; only the JSON form keeps it in memory, up to a limit.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import certifi
import httpx
import msgspec

from dagbook.egress.client import EgressClient
from dagbook.executors.contract import Job, StepError, Streams
from dagbook.executors.http.errors import explain
from dagbook.executors.http.request import Request, read
from dagbook.spec.reading.rendering import sort_members

LARGEST_JSON_BYTES = 16 * 1024 * 1024
_MAX_REDIRECTS = 10
_SMALL_BODY_BYTES = 64 * 1024  # sorted in the loop: a thread would cost more
_large_bodies = asyncio.Lock()
_BLOCK_BYTES = 64 * 1024
_REDACTED = "..."
_LOGGED = frozenset({"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"})
_HIDDEN = frozenset({b"Transfer-Encoding"})  # describes the connection, not the response
_HIDDEN_DECODED = _HIDDEN | {b"Content-Encoding", b"Content-Length"}
_GZIP_FORMAT = 16 + zlib.MAX_WBITS

# They log URLs and headers, which may hold credentials.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


async def run(job: Job, streams: Streams) -> int:
    """Send the request and write the response. Raises SetupError and StepError."""
    request = read(job)
    try:
        async with asyncio.timeout(request.timeout or None), _client(job, request, streams) as client:
            await _exchange(client, request, streams)
    except TimeoutError:
        raise StepError(
            f"http: {request.host}: the request took longer than its timeout of {request.timeout} s"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise StepError(explain(error, request.host)) from None
    return 0


def _client(job: Job, request: Request, streams: Streams) -> httpx.AsyncClient:
    debug = _Debug(streams)
    try:
        return EgressClient(
            job.egress,
            event_hooks={"request": [debug.request], "response": [debug.response]} if request.debug else None,
            follow_redirects=True,
            max_redirects=_MAX_REDIRECTS,
            timeout=None,
            trust_env=not _is_loopback(request.url.host),
            verify=_tls(request.verify),
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        raise StepError(
            "http: the proxy that the server's environment names cannot be used; check HTTPS_PROXY"
        ) from None


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine: such requests use no proxy."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def _tls(verify: bool) -> ssl.SSLContext:
    """Make the TLS context, with the machine's certificate authorities or, where it has none, those of certifi."""
    paths = ssl.get_default_verify_paths()
    own = paths.cafile or paths.capath
    context = ssl.create_default_context(cafile=None if own else certifi.where())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _exchange(client: httpx.AsyncClient, request: Request, streams: Streams) -> None:
    sent = client.build_request(
        request.method, request.url, headers=list(request.headers), content=request.body or None
    )
    received = await client.send(sent, stream=True)
    try:
        response = _Response(received, request)
        await (_print_document if request.json else _print_text)(response, streams)
    finally:
        await received.aclose()
    if not received.is_success:
        raise StepError(f"http: {request.host} answered {response.status}")


class _Response:
    """A response whose body has not been read."""

    def __init__(self, response: httpx.Response, request: Request) -> None:
        self.code = response.status_code
        self.is_short = request.silent and response.is_success
        self._response = response
        self.host = request.host
        self._decodes = request.decodes and response.headers.get("content-encoding", "").lower() == "gzip"

    @property
    def status(self) -> str:
        known = {status.value: status.phrase for status in HTTPStatus}
        return f"{self.code} {self._response.reason_phrase or known.get(self.code, '')}".strip()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers sorted by name, each spelled Like-This; values of one name keep their order."""
        hidden = _HIDDEN_DECODED if self._decodes else _HIDDEN
        found: list[tuple[bytes, bytes]] = []
        for name, value in self._response.headers.raw:
            spelled = b"-".join(part.capitalize() for part in name.split(b"-"))
            if spelled not in hidden:
                found.append((spelled, value))
        return sorted(found, key=lambda pair: pair[0])

    def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises StepError when it is damaged."""
        raw = self._response.aiter_raw()
        return _decode(raw, self.host) if self._decodes else raw


async def _print_text(response: _Response, streams: Streams) -> None:
    if not response.is_short:
        head = b"".join(b"%s: %s\r\n" % header for header in response.headers())
        streams.out(f"{response.status}\n".encode() + head)
    async for block in response.body():
        streams.out(block)


async def _print_document(response: _Response, streams: Streams) -> None:
    raw = await _read_json(response)
    headers: dict[str, list[str]] = {}
    for name, value in response.headers():
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("utf-8", "replace"))
    document = {
        "status_code": 0 if response.is_short else response.code,
        "headers": None if response.is_short else headers,
        "body": msgspec.Raw(raw),
    }
    streams.out(msgspec.json.format(msgspec.json.encode(document), indent=1))


async def _sort(raw: bytes) -> bytes:
    """Sort the members of a body by name; one large body at a time, for it needs thirty times its size at most."""
    if b"{" not in raw:
        return raw
    if len(raw) <= _SMALL_BODY_BYTES:
        return sort_members(raw)
    async with _large_bodies:
        return await asyncio.to_thread(sort_members, raw)


async def _read_json(response: _Response) -> bytes:
    """Read a JSON body; numbers keep their spelling."""
    raw = bytearray()
    async for block in response.body():
        raw += block
        if len(raw) > LARGEST_JSON_BYTES:
            raise StepError(
                f"http: the body from {response.host} is larger than {LARGEST_JSON_BYTES // 1024**2} MiB, "
                "too much for the json form; leave out json"
            )
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
        return await _sort(bytes(raw))
    except (msgspec.DecodeError, RecursionError):
        raise StepError(
            f"http: {response.host} answered {response.status}, and the body is not JSON; leave out json"
        ) from None


async def _decode(packed: AsyncIterator[bytes], host: str) -> AsyncIterator[bytes]:
    """Decompress gzip block by block, so that highly compressed data needs little memory."""
    gunzip = zlib.decompressobj(_GZIP_FORMAT)
    empty = True
    try:
        async for data in packed:
            empty = False
            left = data
            while left and not gunzip.eof:
                yield gunzip.decompress(left, _BLOCK_BYTES)
                left = gunzip.unconsumed_tail
                await asyncio.sleep(0)
        yield gunzip.flush()
    except zlib.error:
        raise StepError(f"http: {host}: the body is declared as gzip but is not") from None
    if not gunzip.eof and not empty:
        raise StepError(f"http: {host}: the body ended before it was complete")


class _Debug:
    """Logs request and response to stderr, without anything that may be secret."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._started_at = time.monotonic()

    async def request(self, sent: httpx.Request) -> None:
        self._started_at = time.monotonic()
        query = f"?{_REDACTED}" if sent.url.query else ""
        lines = [f"> {sent.method} {sent.url.scheme}://{sent.url.netloc.decode()}{sent.url.path}{query}"]
        lines += [f"> {name}: {value if name in _LOGGED else _REDACTED}" for name, value in sent.headers.items()]
        self._streams.err("\n".join(lines) + "\n")

    async def response(self, response: httpx.Response) -> None:
        seconds = time.monotonic() - self._started_at
        self._streams.err(f"< {response.http_version} {response.status_code} after {seconds:.3f} s\n")
