"""Streaming response of the live feed: events, heartbeats and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import monotonic

from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from dagbook.api.limits import until_disconnected
from dagbook.api.live import sse
from dagbook.api.live.feed import Feed
from dagbook.api.live.subscription import Subscription
from dagbook.api.middleware.compression import StreamCompressor, accepts_gzip
from dagbook.db.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)
EVENT_STREAM = "text/event-stream"
_HEARTBEAT_SECONDS = 20.0  # some 40 bytes with its id and the HTTP framing, so 120 per minute
_CHECK_SECONDS = 10.0  # a revoked credential is served for at most so long
_STALL_SECONDS = 30.0  # a client that reads nothing for so long is disconnected
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
IsAuthorized = Callable[[], Awaitable[bool]]


async def stream(feed: Feed, subscription: Subscription, is_authorized: IsAuthorized) -> AsyncGenerator[bytes]:
    """Yield a client's events until it loses its authorization, is too slow, or the server stops."""
    yield sse.ready_frame(subscription.begin, missed=subscription.missed)
    try:
        async for missed in feed.read_backlog(subscription):
            if missed:
                yield missed
    except DatabaseUnavailable:
        return  # the client reconnects and resumes at its last event
    async for frames in _stream(subscription, is_authorized):
        yield frames


async def _stream(subscription: Subscription, is_authorized: IsAuthorized) -> AsyncIterator[bytes]:
    checked = sent = monotonic()
    while not subscription.ended:
        frames = await subscription.take(min(_HEARTBEAT_SECONDS, _CHECK_SECONDS))
        if monotonic() - checked >= _CHECK_SECONDS:
            checked = monotonic()
            if not await is_authorized():
                return
        if not frames and monotonic() - sent >= _HEARTBEAT_SECONDS and not subscription.ended:
            frames = sse.heartbeat_frame(subscription.seen)
        if frames:
            sent = monotonic()
            yield frames


class EventStream(Response[bytes]):
    """Response with server-sent events; ``on_close`` is called when it has ended for any reason."""

    def __init__(self, events: AsyncGenerator[bytes], on_close: Callable[[], None]) -> None:
        super().__init__(b"", media_type=EVENT_STREAM, headers=_HEADERS)
        self._events = events
        self._on_close = on_close

    def to_asgi_response(self, *_: object, headers: dict[str, str] | None = None, **__: object) -> ASGIResponse:
        return _Sender(self._events, self._on_close, {**(headers or {}), **self.headers})


class _Sender(ASGIResponse):
    """Sends chunks until the stream ends, the client disconnects or stalls."""

    _should_set_content_length = False

    def __init__(self, events: AsyncGenerator[bytes], on_close: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(headers=headers, media_type=EVENT_STREAM, status_code=200)
        self._events = events
        self._on_close = on_close
        self._coder: StreamCompressor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if accepts_gzip(scope):
            self._coder = StreamCompressor()
            self.headers["Content-Encoding"] = "gzip"
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send until the stream ends or the client disconnects."""
        disconnected, sending = asyncio.create_task(until_disconnected(receive)), asyncio.create_task(self._send(send))
        try:
            await asyncio.wait({disconnected, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnected.cancel()
            sending.cancel()
            _, error = await asyncio.gather(disconnected, sending, return_exceptions=True)
        if isinstance(error, Exception):
            raise error

    async def _send(self, send: Send) -> None:
        try:
            async with aclosing(self._events):
                async for chunk in self._events:
                    await self._send_in_time(send, chunk, more=True)
            await self._send_in_time(send, b"", more=False)
        except TimeoutError:
            _log.info("live feed: disconnected a client that read nothing for %g seconds", _STALL_SECONDS)

    async def _send_in_time(self, send: Send, chunk: bytes, *, more: bool) -> None:
        body = self._coder.compress(chunk, more=more) if self._coder is not None else chunk
        async with asyncio.timeout(_STALL_SECONDS):
            await send({"type": "http.response.body", "body": body, "more_body": more})
