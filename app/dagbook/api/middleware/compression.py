"""gzip for long JSON responses, and for event streams.

The middleware of litestar compresses all that is not left out, the files of the web UI a second time. A response below
``/auth`` has secrets, and stays as it is: the size of a compressed one tells about its content (security.md).
"""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, Message, Receive, Scope, Send

_LEAST_BYTES = 2048
_LEVEL = 5
_LONG_BYTES = 262_144  # compressed in a thread: longer ones would hold the event loop for some 5 ms
# A quarter of the memory that zlib takes by default, for a stream is open for as long as its page.
_STREAM_WINDOW, _STREAM_MEMORY = 16 + 13, 6
_VARY = (b"vary", b"Accept-Encoding")
_GZIP = re.compile(rb"\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$)[0-9.]+\s*)?", re.IGNORECASE)  # without a weight of zero


class CompressionMiddleware:
    """Compresses the JSON responses of the API that come in one piece, for clients that accept gzip."""

    def __init__(self, app: ASGIApp, api_path: str) -> None:
        self._app = app
        self._secret = f"{api_path}/auth/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] == ScopeType.HTTP and not scope["path"].startswith(self._secret)
        await self._app(scope, receive, _Response(send, is_accepted=accepts_gzip(scope)).send if is_open else send)


class _Response:
    """Wrapper of ``send`` that holds the head of a JSON response back until its length is known."""

    def __init__(self, send: Send, *, is_accepted: bool) -> None:
        self._send = send
        self._is_accepted = is_accepted
        self._head: HTTPResponseStartEvent | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kinds = [value.partition(b";")[0] for name, value in message["headers"] if name.lower() == b"content-type"]
            if any(kind == b"application/json" or kind.endswith(b"+json") for kind in kinds):
                message["headers"] = [*message["headers"], _VARY]
                if self._is_accepted:
                    self._head = message
                    return
        if self._head is not None and message["type"] == "http.response.body":
            head, self._head = self._head, None
            if not message["more_body"] and len(message["body"]) >= _LEAST_BYTES:
                await _compress(head, message)
            await self._send(head)
        await self._send(message)


class StreamCompressor:
    """gzip of an event stream: each part can be read as soon as it is sent."""

    def __init__(self) -> None:
        self._coder = zlib.compressobj(_LEVEL, wbits=_STREAM_WINDOW, memLevel=_STREAM_MEMORY)

    def compress(self, part: bytes, *, more: bool) -> bytes:
        return self._coder.compress(part) + self._coder.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)


def accepts_gzip(scope: Scope) -> bool:
    accepted = (value for name, value in scope["headers"] if name == b"accept-encoding")
    return any(_GZIP.fullmatch(coding) for value in accepted for coding in value.split(b","))


async def _compress(head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> None:
    body = message["body"]
    if len(body) < _LONG_BYTES:
        message["body"] = gzip.compress(body, _LEVEL, mtime=0)
    else:
        message["body"] = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
    length = str(len(message["body"])).encode()
    own = {b"content-length": length, b"content-encoding": b"gzip"}
    for name, value in head["headers"]:
        if name.lower() == b"etag":  # of another coding of the same content: a strong tag is of one sequence of bytes
            own[b"etag"] = b"W/" + value.removeprefix(b"W/")
    head["headers"] = [*(pair for pair in head["headers"] if pair[0].lower() not in own), *own.items()]
