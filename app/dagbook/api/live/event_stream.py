"""The live feed as an answer that goes on: events, heartbeats, and an end when it has to be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any

from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from dagbook.api.live import sse
from dagbook.api.live.feed import Feed
from dagbook.api.live.subscription import Subscription
from dagbook.db.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)
EVENT_STREAM = "text/event-stream"
_HEARTBEAT_SECONDS = 20.0  # with its id and HTTP's own frame some 40 bytes, so 120 in a minute
_CHECK_SECONDS = 10.0  # how long a credential that was revoked is still served
_STALL_SECONDS = 30.0  # a client that reads nothing for so long is let go
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
IsAuthorized = Callable[[], Awaitable[bool]]


async def stream(feed: Feed, subscription: Subscription, may_go_on: IsAuthorized) -> AsyncGenerator[bytes]:
    """Tell a client what it wants to know, until it may not go on, is too slow, or the server stops."""
    yield sse.ready_frame(subscription.begin, missed=subscription.missed)
    try:
        async for missed in feed.read_backlog(subscription):
            if missed:
                yield missed
    except DatabaseUnavailable:
        return  # the client resumes where it was
    async for news in _stream(subscription, may_go_on):
        yield news


async def _stream(subscription: Subscription, may_go_on: IsAuthorized) -> AsyncIterator[bytes]:
    checked = told = monotonic()
    while not subscription.ended:
        news = await subscription.take(min(_HEARTBEAT_SECONDS, _CHECK_SECONDS))
        if monotonic() - checked >= _CHECK_SECONDS:
            checked = monotonic()
            if not await may_go_on():
                return
        if not news and monotonic() - told >= _HEARTBEAT_SECONDS and not subscription.ended:
            news = sse.heartbeat_frame(subscription.seen)
        if news:
            told = monotonic()
            yield news


class EventStream(Response[bytes]):
    """An answer of events that comes piece by piece; ``leave`` is called when it has ended, however."""

    def __init__(self, events: AsyncGenerator[bytes], leave: Callable[[], None]) -> None:
        super().__init__(b"", media_type=EVENT_STREAM, headers=_HEADERS)
        self._events = events
        self._leave = leave

    def to_asgi_response(self, *_: Any, headers: dict[str, str] | None = None, **__: Any) -> ASGIResponse:
        """Make what sends it."""
        return _Sender(self._events, self._leave, {**(headers or {}), **self.headers})


class _Sender(ASGIResponse):
    """Sends pieces while the client is there and takes them."""

    _should_set_content_length = False

    def __init__(self, events: AsyncGenerator[bytes], leave: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(headers=headers, media_type=EVENT_STREAM, status_code=200)
        self._events = events
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send until the stream ends or the client goes."""
        gone, sending = asyncio.create_task(_until_gone(receive)), asyncio.create_task(self._send(send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            sending.cancel()
            _, error = await asyncio.gather(gone, sending, return_exceptions=True)
        if isinstance(error, Exception):
            raise error

    async def _send(self, send: Send) -> None:
        try:
            async with aclosing(self._events):
                async for piece in self._events:
                    await _send_in_time(send, piece, more=True)
            await _send_in_time(send, b"", more=False)
        except TimeoutError:
            _log.info("a client of the live feed takes nothing and is let go")


async def _send_in_time(send: Send, piece: bytes, *, more: bool) -> None:
    async with asyncio.timeout(_STALL_SECONDS):
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
