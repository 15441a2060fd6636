"""A receiver of alerts that an experiment tells how to answer, and that keeps every request with the answer it got."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from tests.executors.web import Answer as WebAnswer
from tests.executors.web import Web, plain

_START_SECONDS = 10
_HANGS_SECONDS = 60  # longer than any client waits
_CHUNK, _HUGE = b"x" * 65_536, 2**30
ELSEWHERE = "/elsewhere"  # where a redirect leads to


class Reply(Enum):
    """How a request is answered."""

    OK = "ok"
    ERROR = "500"
    HANG = "hang"
    REDIRECT = "redirect"
    DRIP = "drip"
    HUGE = "1 GiB"
    DOWN = "the connection is closed"


class Request(NamedTuple):
    """A request as it arrived, with the reply that it got; ``id`` is the ``webhook-id``, empty for a chat."""

    path: str
    at: float  # seconds since 1970
    id: str
    body: Mapping[str, Any]
    reply: Reply

    @property
    def lines(self) -> list[str]:
        """The lines of the message of a chat."""
        return str(self.body["text"]).splitlines()


async def _hang(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(_HANGS_SECONDS)  # longer than a sender waits


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 Fine\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(_HANGS_SECONDS):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(1)  # something comes before each limit but that of the whole answer


async def _flood(writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 Fine\r\nContent-Length: {_HUGE}\r\n\r\n".encode())
    for _ in range(_HUGE // len(_CHUNK)):
        writer.write(_CHUNK)
        await writer.drain()


async def _close(_: asyncio.StreamWriter) -> None:
    """Close the connection without an answer: so a request to a receiver that is down can be counted."""


def _write(answer: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return write


_REPLIES: Mapping[Reply, Callable[[asyncio.StreamWriter], Awaitable[None]]] = MappingProxyType(
    {
        Reply.OK: _write(plain(200, "thanks")),
        Reply.ERROR: _write(plain(500, "not now")),
        Reply.HANG: _hang,
        Reply.REDIRECT: _write(plain(302, "", f"Location: {ELSEWHERE}")),
        Reply.DRIP: _drip,
        Reply.HUGE: _flood,
        Reply.DOWN: _close,
    }
)


class Receiver:
    """A web server in a thread of its own; each path is a channel, and draws its reply from those it is told."""

    def __init__(self, seed: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._random = random.Random(seed)
        self._replies: dict[str, Sequence[Reply]] = {}
        self._tls = tls
        self._web = Web()
        self._web.answers[ELSEWHERE] = self._make_answer(ELSEWHERE)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="receiver", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._web.start(self._tls))
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._web.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    def url(self, path: str, *replies: Reply) -> str:
        """Return the address of a path, which answers with one of these replies from now on."""
        self.reply(path, *replies)
        return f"{self._web.url}{path}"

    def reply(self, path: str, *replies: Reply) -> None:
        """Answer with one of these replies from now on, ``OK`` by default."""
        self._replies[path] = replies or (Reply.OK,)
        self._web.answers[path] = self._make_answer(path)

    def of(self, path: str, *replies: Reply) -> list[Request]:
        """Return the requests to a path, all or those that got one of these replies, in order."""
        return [each for each in list(self.requests) if each.path == path and (not replies or each.reply in replies)]

    def _make_answer(self, path: str) -> WebAnswer:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = self._web.asked.pop()  # the one that was read just now
            reply = self._random.choice(self._replies.get(path, (Reply.OK,)))
            body = json.loads(asked.body or b"{}")
            self.requests.append(Request(path, time.time(), asked.headers.get("webhook-id", ""), body, reply))
            with suppress(asyncio.CancelledError):  # at the end, of which the streams would print a traceback
                await _REPLIES[reply](writer)

        return answer
