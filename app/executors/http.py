"""The http executor: one request, its answer into the step's output (DAG format 4.6).

A body is written while it arrives; only the JSON form has to hold it, up to a limit.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

import certifi
import httpx
import msgspec

from app.executors.contract import Job, StepError, Streams
from app.executors.http_failure import explain
from app.executors.http_request import Request, read
from app.spec.rendering import sort_members

LARGEST_JSON_BYTES = 16 * 1024 * 1024
_MAX_REDIRECTS = 10
_SMALL_BODY_BYTES = 64 * 1024  # sorted in the loop: a thread would cost more
_large_bodies = asyncio.Lock()
_PIECE_BYTES = 64 * 1024
_SECRET = "..."  # noqa: S105 - stands for what may be one
_HARMLESS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
)
_HIDDEN = frozenset({b"Transfer-Encoding"})  # a matter of the connection, not of the answer
_HIDDEN_UNPACKED = _HIDDEN | {b"Content-Encoding", b"Content-Length"}
_GZIP_FORMAT = 16 + zlib.MAX_WBITS

# They log URLs and headers, which may hold credentials.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


async def run(job: Job, streams: Streams) -> int:
    """Send the request and print the answer; raises SetupError and StepError. Ends at once when it is cancelled."""
    request = read(job)
    try:
        async with asyncio.timeout(request.timeout or None), _client(request, streams) as client:
            await _exchange(client, request, streams)
    except TimeoutError:
        raise StepError(
            f"http: {request.host}: the request took longer than its timeout of {request.timeout} s"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise StepError(explain(error, request.host)) from None
    return 0


def _client(request: Request, streams: Streams) -> httpx.AsyncClient:
    debug = _Debug(streams)
    try:
        return httpx.AsyncClient(
            event_hooks={"request": [debug.request], "response": [debug.response]} if request.debug else None,
            follow_redirects=True,
            max_redirects=_MAX_REDIRECTS,
            timeout=None,  # noqa: S113 - the whole request has one limit
            trust_env=not _is_loopback(request.url.host),
            verify=_tls(request.verify),
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        raise StepError(
            "http: the proxy that the server's environment names cannot be used; check HTTPS_PROXY"
        ) from None


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine, which no proxy is asked for."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def _tls(verify: bool) -> ssl.SSLContext:
    """Trust what the machine trusts; where it has no authorities of its own, those that come with the client."""
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
    response = await client.send(sent, stream=True)
    try:
        answer = _Answer(response, request)
        await (_print_document if request.json else _print_text)(answer, streams)
    finally:
        await response.aclose()
    if not response.is_success:
        raise StepError(f"http: {request.host} answered {answer.status}")


class _Answer:
    """An answer whose body is still to come."""

    def __init__(self, response: httpx.Response, request: Request) -> None:
        self.code = response.status_code
        self.is_short = request.silent and response.is_success
        self._response = response
        self.host = request.host
        self._unpacks = request.decodes and response.headers.get("content-encoding", "").lower() == "gzip"

    @property
    def status(self) -> str:
        """The code and what it means."""
        known = {status.value: status.phrase for status in HTTPStatus}
        return f"{self.code} {self._response.reason_phrase or known.get(self.code, '')}".strip()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Give the headers by name, each spelled Like-This; values of one name stay in their order."""
        hidden = _HIDDEN_UNPACKED if self._unpacks else _HIDDEN
        found = [(_spell(name), value) for name, value in self._response.headers.raw]
        return sorted(((name, value) for name, value in found if name not in hidden), key=lambda pair: pair[0])

    def body(self) -> AsyncIterator[bytes]:
        """Give the body as it arrives; raises StepError when it is broken."""
        raw = self._response.aiter_raw()
        return _unpack(raw, self.host) if self._unpacks else raw


def _spell(name: bytes) -> bytes:
    return b"-".join(part.capitalize() for part in name.split(b"-"))


async def _print_text(answer: _Answer, streams: Streams) -> None:
    if not answer.is_short:
        head = b"".join(b"%s: %s\r\n" % header for header in answer.headers())
        streams.out(f"{answer.status}\n".encode() + head)
    async for piece in answer.body():
        streams.out(piece)


async def _print_document(answer: _Answer, streams: Streams) -> None:
    raw = await _read_json(answer)
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers():
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("utf-8", "replace"))
    document = {
        "status_code": 0 if answer.is_short else answer.code,
        "headers": None if answer.is_short else headers,
        "body": msgspec.Raw(raw),
    }
    streams.out(msgspec.json.format(msgspec.json.encode(document), indent=1))


async def _sort(raw: bytes) -> bytes:
    """Sort the members of a body by name; one large body at a time, for it takes up to thirty times its size."""
    if b"{" not in raw:
        return raw
    if len(raw) <= _SMALL_BODY_BYTES:
        return sort_members(raw)
    async with _large_bodies:
        return await asyncio.to_thread(sort_members, raw)


async def _read_json(answer: _Answer) -> bytes:
    """Read a body that has to be JSON; numbers in it stay as they are written."""
    raw = bytearray()
    async for piece in answer.body():
        raw += piece
        if len(raw) > LARGEST_JSON_BYTES:
            raise StepError(
                f"http: the body from {answer.host} is larger than {LARGEST_JSON_BYTES // 1024**2} MiB, "
                "too much for the json form; leave out json"
            )
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
        return await _sort(bytes(raw))
    except (msgspec.DecodeError, RecursionError):
        raise StepError(
            f"http: {answer.host} answered {answer.status}, and the body is not JSON; leave out json"
        ) from None


async def _unpack(packed: AsyncIterator[bytes], host: str) -> AsyncIterator[bytes]:
    """Undo gzip piece by piece, however much a little of it stands for."""
    gunzip = zlib.decompressobj(_GZIP_FORMAT)
    empty = True
    try:
        async for data in packed:
            empty = False
            for piece in _inflate(gunzip, data):
                yield piece
                await asyncio.sleep(0)
        yield gunzip.flush()
    except zlib.error:
        raise StepError(f"http: {host}: the body is said to be gzip and is not") from None
    if not gunzip.eof and not empty:
        raise StepError(f"http: {host}: the body ended before it was complete")


def _inflate(gunzip: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    while data and not gunzip.eof:
        yield gunzip.decompress(data, _PIECE_BYTES)
        data = gunzip.unconsumed_tail


class _Debug:
    """Tells on stderr what goes over the wire, but nothing that may be secret."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._begun = time.monotonic()

    async def request(self, sent: httpx.Request) -> None:
        self._begun = time.monotonic()
        query = f"?{_SECRET}" if sent.url.query else ""
        lines = [f"> {sent.method} {sent.url.scheme}://{sent.url.netloc.decode()}{sent.url.path}{query}"]
        lines += [f"> {name}: {value if name in _HARMLESS else _SECRET}" for name, value in sent.headers.items()]
        self._streams.err("\n".join(lines) + "\n")

    async def response(self, answer: httpx.Response) -> None:
        seconds = time.monotonic() - self._begun
        self._streams.err(f"< {answer.http_version} {answer.status_code} after {seconds:.3f} s\n")
